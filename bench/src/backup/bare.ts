/**
 * pgBackRest without pgherd: a pod with PostgreSQL, a pod with the repository behind pgBackRest's TLS server, and one
 * to restore into. Options and settings are those that pgherd uses, read from its pods.
 */
import { strict as assert } from 'node:assert';
import { captureInPod } from '@pgherd/cli/pod-exec';
import type { World } from '@pgherd/e2e';
import { type KubeObject, kinds, type Pod } from '@pgherd/kube';
import { createAuthority, createLeaf } from '@pgherd/operator/pki';
import { CONTAINER, startPlainPod } from '../plain-pod.ts';

export const PORT = 8432;
const STANZA = 'bare';
const SECRET = 'bare-tls';
const DATA = '/var/lib/postgresql/data/pgdata';
const LONG_MS = 600_000;
/** Of a configuration that pgherd wrote, what says where things are and who may reach them. */
const PLACES = /^(repo\d+-(path|host.*)|pg\d+-.*|lock-path|log-path|spool-path|tls-.*)=/;

export interface BareOptions {
  world: World;
  namespace: string;
  /** PostgreSQL's settings, as lines of postgresql.conf. */
  settings: string[];
  /** pgherd's configurations of pgBackRest: where the database is, and where the repository is. */
  configs: { database: string; repository: string };
}

/** What one command took: by its own word, and from its start to its end, milliseconds. */
export interface Command {
  ownMs: number;
  wholeMs: number;
}

export class Bare {
  private readonly o: BareOptions;

  constructor(options: BareOptions) {
    this.o = options;
  }

  async start(): Promise<void> {
    await this.makeCertificates();
    for (const name of ['bare', 'bare-store']) await this.makeService(name);
    const { settings } = this.o;
    await Promise.all([
      this.pod('bare-store', storeScript(this.files('repository'))),
      this.pod('bare', databaseScript(this.files('database'), settings)),
      this.pod('bare-restored', `${certificates}\n${writeFiles(this.files('database'))}\nexec sleep 86400`),
    ]);
    await this.run('bare-store', `${backrest} stanza-create`);
  }

  /** Runs a shell script in one of the pods; returns what it printed. */
  async run(pod: string, script: string): Promise<string> {
    const ref = { metadata: { name: pod, namespace: this.o.namespace } } as Pod;
    const options = { container: CONTAINER, timeoutMs: LONG_MS };
    const result = await captureInPod(this.o.world.client, ref, ['sh', '-c', script], options);
    assert.equal(result.code, 0, `in ${pod}: ${script}\n${result.stdout}\n${result.stderr}`);
    return result.stdout.trim();
  }

  sql(query: string): Promise<string> {
    return this.run('bare', `psql -h /tmp -U postgres -d app -XAtqc "${query}"`);
  }

  async backUp(): Promise<Command> {
    const said = await this.run('bare-store', timed(`${backrest} --type=full backup`));
    return { ownMs: ownTime(said, 'backup'), wholeMs: wholeTime(said) };
  }

  /**
   * Restores the newest backup, replays all WAL and opens; leaves nothing, so that the next one, whoever it is, finds
   * as much memory and disk. `wholeMs`: until it takes writes. `options`: of restore.
   */
  async restore(options: string): Promise<Command & { startedMs: number }> {
    const said = await this.run(
      'bare-restored',
      `rm -rf ${DATA} && mkdir -p ${DATA} && chmod 700 ${DATA}
${timed(`${backrest} ${options} restore && { ${restored} }`)}
kill -QUIT $(head -n 1 ${DATA}/postmaster.pid) && wait && rm -rf ${DATA}`,
    );
    const ownMs = ownTime(said, 'restore');
    const wholeMs = wholeTime(said);
    return { ownMs, wholeMs, startedMs: wholeMs - ownMs };
  }

  private files(which: 'database' | 'repository'): Record<string, string> {
    const tls = (prefix: string, name: string) => [
      `${prefix}-host=${name}.${this.o.namespace}.svc`,
      `${prefix}-host-type=tls`,
      `${prefix}-host-port=${PORT}`,
      ...['ca', 'cert', 'key'].map((each) => `${prefix}-host-${each}-file=/tmp/tls/${each}`),
      `${prefix}-host-config=/tmp/pgbackrest.conf`,
    ];
    const server = [`pg1-path=${DATA}`, 'pg1-socket-path=/tmp', 'pg1-user=postgres', 'pg1-port=5432'];
    const common = withoutPlaces(this.o.configs[which]);
    const places =
      which === 'database'
        ? ['spool-path=/tmp/spool', 'log-path=/tmp/log', ...tls('repo1', 'bare-store')]
        : ['repo1-path=/var/lib/postgresql/data/repository'];
    const stanza = which === 'database' ? server : [...server, ...tls('pg1', 'bare')];
    const global = ['[global]', 'lock-path=/tmp/lock', ...places];
    return {
      '/tmp/pgbackrest.conf': [...global, ...common, `[${STANZA}]`, ...stanza].join('\n'),
      '/tmp/server.conf': [
        '[global]',
        'log-level-file=off',
        'tls-server-address=*',
        `tls-server-port=${PORT}`,
        ...['ca', 'cert', 'key'].map((each) => `tls-server-${each}-file=/tmp/tls/${each}`),
        'tls-server-auth=bare=*',
      ].join('\n'),
    };
  }

  private pod(name: string, script: string): Promise<Pod> {
    const command = ['sh', '-c', script];
    const { world, namespace } = this.o;
    const port = name === 'bare-restored' ? {} : { port: PORT };
    return startPlainPod(world, { namespace, name, command, data: true, secret: SECRET, ...port });
  }

  private async makeCertificates(): Promise<void> {
    const { world, namespace } = this.o;
    const span = { now: new Date(), days: 1 };
    const authority = await createAuthority({ ...span, commonName: 'bare-authority' });
    const dnsNames = ['bare', 'bare-store'].map((name) => `${name}.${namespace}.svc`);
    const leaf = await createLeaf(authority, { ...span, commonName: 'bare', dnsNames, usage: 'both' });
    const data = { ca: authority.cert, cert: leaf.cert, key: leaf.key };
    const encoded = Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')]);
    await world.client.create(kinds.Secret, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: SECRET, namespace },
      data: Object.fromEntries(encoded),
    } as KubeObject);
  }

  private async makeService(name: string): Promise<void> {
    const { world, namespace } = this.o;
    await world.client.create(kinds.Service, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace },
      spec: {
        selector: { name },
        publishNotReadyAddresses: true,
        ports: [
          { name: 'pgbackrest', port: PORT, targetPort: PORT, protocol: 'TCP' },
          { name: 'postgres', port: 5432, targetPort: 5432, protocol: 'TCP' },
        ],
      },
    } as KubeObject);
  }
}

const backrest = `pgbackrest --config=/tmp/pgbackrest.conf --stanza=${STANZA} --log-level-console=info`;
const path = 'export PATH="$PATH:/usr/lib/postgresql/15/bin"';
const certificates = `set -e
mkdir -p /tmp/tls /tmp/lock /tmp/log /tmp/spool
cp /tls/* /tmp/tls/ && chmod 600 /tmp/tls/*`;
const asks = `psql -h /tmp -U postgres -d postgres -XAtqc 'SELECT NOT pg_is_in_recovery()' 2>/dev/null`;
const restored = `
${path}
postgres -D ${DATA} -c listen_addresses= -c ssl=off -c archive_mode=off -c unix_socket_directories=/tmp >/tmp/postgres.log 2>&1 &
until [ "$(${asks})" = t ]; do sleep 0.05; done
`;

/** Prints how long a command took, in milliseconds, after what it prints itself. */
function timed(command: string): string {
  return `began=$(date +%s%N)
${command} || exit 1
echo "took $(( ($(date +%s%N) - began) / 1000000 ))"`;
}

function wholeTime(said: string): number {
  return Number(/^took (\d+)$/m.exec(said)?.[1]);
}

/** What pgBackRest says of a command's duration at its end, milliseconds. */
export function ownTime(said: string, command: string): number {
  const match = new RegExp(`${command} command end: completed successfully \\((\\d+)ms\\)`).exec(said);
  if (!match) throw new Error(`pgBackRest did not say how long its ${command} took: ${said.slice(-500)}`);
  return Number(match[1]);
}

/** The options of a configuration that are the same wherever it is used; sections other than `global...` end it. */
function withoutPlaces(config: string): string[] {
  const lines = config.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const own = lines.findIndex((line) => /^\[(?!global)/.test(line));
  return lines.slice(1, own < 0 ? undefined : own).filter((line) => !PLACES.test(line));
}

function writeFiles(files: Record<string, string>): string {
  return Object.entries(files)
    .map(([file, text]) => `cat >${file} <<'END'\n${text}\nEND`)
    .join('\n');
}

function storeScript(files: Record<string, string>): string {
  return `${certificates}
${writeFiles(files)}
mkdir -p /var/lib/postgresql/data/repository
exec pgbackrest --config=/tmp/server.conf --log-level-console=warn server`;
}

function databaseScript(files: Record<string, string>, settings: string[]): string {
  const own = [
    "listen_addresses = '*'",
    "unix_socket_directories = '/tmp'",
    'ssl = on',
    "ssl_cert_file = '/tmp/tls/cert'",
    "ssl_key_file = '/tmp/tls/key'",
    'archive_mode = on',
    `archive_command = 'pgbackrest --config=/tmp/pgbackrest.conf --stanza=${STANZA} archive-push %p'`,
  ];
  return `${certificates}
${writeFiles(files)}
${path}
initdb --no-sync --data-checksums --auth=trust --username=postgres --encoding=UTF8 --locale=C -D ${DATA} >/dev/null
cat >>${DATA}/postgresql.conf <<'END'
${[...settings, ...own].join('\n')}
END
echo 'hostssl all all all trust' >> ${DATA}/pg_hba.conf
pg_ctl -D ${DATA} -w start -o "-c listen_addresses='' -c archive_mode=off" >/dev/null
psql -h /tmp -U postgres -qc 'CREATE ROLE app LOGIN' -c 'CREATE DATABASE app OWNER app' postgres
pg_ctl -D ${DATA} -w stop >/dev/null
pgbackrest --config=/tmp/server.conf --log-level-console=warn server &
exec postgres -D ${DATA}`;
}
