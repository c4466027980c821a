/** pgbench against a cluster, over the same PostgreSQL with the same settings in a bare pod. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { names } from '@pgherd/api';
import { findPostgres } from '@pgherd/cli';
import { type Access, accessFromHost, accessInside } from '@pgherd/cli/access';
import { captureInPod } from '@pgherd/cli/pod-exec';
import { Stage, startLocalWorld, type World } from '@pgherd/e2e';
import { type Measurement, type MeasurementOptions, median } from './measurement.ts';
import { CONTAINER, makeNamespace, type PlainPod, settingsOf, startPlainPod } from './plain-pod.ts';

const exec = promisify(execFile);
const CLIENTS = 8;
const SCALE = 10;
const RUNS = 3;
const SECONDS = 10;
const NAMESPACE = 'bench';
type Kind = 'simple-update' | 'select-only';
type Target = 'bare' | 'pod' | 'rw' | 'host';
const TARGETS = ['pod', 'rw', 'host'] as const;
/** Transactions a second, with those of the bare server just before or after. */
type Rates = Record<(typeof TARGETS)[number], { bare: number; ours: number }[]>;

export const throughput: Measurement = async ({ runs = RUNS, seconds = SECONDS, say }) => {
  say('Starting local mode and a cluster of one instance');
  const world = await startLocalWorld('bench');
  try {
    const bench = await prepare(world, say);
    const rates: Record<Kind, Rates> = { 'simple-update': empty(), 'select-only': empty() };
    for (let run = 0; run < runs; run++)
      for (const kind of Object.keys(rates) as Kind[]) {
        for (const target of TARGETS) {
          // Each beside a measurement of the bare server, in turns the first: the machine's pace changes, and what
          // one of them has written is flushed while the next one runs.
          const pair = { bare: 0, ours: 0 };
          const order = (run + TARGETS.indexOf(target)) % 2 === 0 ? ['bare', 'ours'] : ['ours', 'bare'];
          for (const who of order as ('bare' | 'ours')[])
            pair[who] = await bench(kind, who === 'bare' ? 'bare' : target, seconds);
          rates[kind][target].push(pair);
        }
        const said = TARGETS.map((target) => {
          const { bare, ours } = rates[kind][target].at(-1) ?? { bare: 0, ours: 0 };
          return `${target} ${Math.round(ours)} of ${Math.round(bare)}`;
        });
        say(`run ${run + 1}, ${kind}: ${said.join(', ')} TPS`);
      }
    return outcome(rates, { runs, seconds });
  } finally {
    await world.stop();
  }
};

function empty(): Rates {
  return { pod: [], rw: [], host: [] };
}

type Bench = (kind: Kind, target: Target, seconds: number) => Promise<number>;

/** Makes the cluster, the bare server with its settings, and the pod that pgbench runs in; loads both servers. */
async function prepare(world: World, say: MeasurementOptions['say']): Promise<Bench> {
  const { client } = world;
  await makeNamespace(world, NAMESPACE);
  const stage = new Stage(world, NAMESPACE);
  await stage.createCluster({
    instances: 1,
    storage: { size: '4Gi' },
    postgresql: { parameters: { shared_buffers: '256MB', max_wal_size: '4GB' } },
  });
  const primary = await stage.pod(await stage.primary());
  const access = await accessInside(client, NAMESPACE, stage.cluster);
  const settings = await settingsOf(stage);
  say('Starting a bare PostgreSQL with the same settings');
  const bare = await startPlainPod(world, barePod(settings, access, stage.cluster));
  const runner = await startPlainPod(world, {
    namespace: NAMESPACE,
    name: 'runner',
    command: ['sleep', '86400'],
    env: clientEnv(access),
  });
  const fromHost = await accessFromHost(client, world.state ?? '', NAMESPACE, stage.cluster);
  const addresses: Record<Exclude<Target, 'host'>, string> = {
    bare: bare.status?.podIP ?? '',
    pod: primary.status?.podIP ?? '',
    rw: access.host,
  };
  const inPod = (host: string, args: string[], timeoutMs: number) =>
    captureInPod(
      client,
      runner,
      ['pgbench', ...args, '-h', host, '-p', String(access.port), '-U', access.user, access.database],
      {
        container: CONTAINER,
        timeoutMs,
      },
    );
  const bareCheckpoint = () => {
    const psql = ['psql', '-h', '/tmp', '-U', 'postgres', '-c', 'CHECKPOINT', 'postgres'];
    return captureInPod(client, bare, psql, { container: CONTAINER, timeoutMs: 60_000 });
  };
  say(`Loading pgbench, scale ${SCALE}`);
  for (const target of ['bare', 'rw'] as const) {
    const loaded = await inPod(addresses[target], ['-i', '-q', '-s', String(SCALE)], 120_000);
    if (loaded.code !== 0) throw new Error(`pgbench could not load ${target}: ${loaded.stderr}`);
  }
  return async (kind, target, seconds) => {
    const args = ['-N', '-S'].filter((flag) => (kind === 'select-only' ? flag === '-S' : flag === '-N'));
    if (kind === 'simple-update') await (target === 'bare' ? bareCheckpoint() : stage.sql('CHECKPOINT'));
    const common = [...args, '-n', '-c', String(CLIENTS), '-j', '2', '-T', String(seconds), '-M', 'prepared'];
    if (target === 'host') return pgbenchOnHost(fromHost, common, seconds);
    const result = await inPod(addresses[target], common, (seconds + 30) * 1000);
    return tps(result.stdout, result.stderr);
  };
}

/** A pod with PostgreSQL and nothing of ours, on the same kind of volume, with the cluster's certificate. */
function barePod(settings: string[], access: Access, cluster: string): PlainPod {
  const script = `
set -e
export PATH="$PATH:/usr/lib/postgresql/15/bin"
d=/var/lib/postgresql/data/pgdata
initdb --no-sync --data-checksums --auth=trust --username=postgres --encoding=UTF8 --locale=C -D $d >/dev/null
cp /tls/tls.crt /tls/tls.key /tmp/ && chmod 600 /tmp/tls.key
printf '%s\\n' "$CONF" "listen_addresses = '*'" "unix_socket_directories = '/tmp'" "ssl = on" "ssl_cert_file = '/tmp/tls.crt'" "ssl_key_file = '/tmp/tls.key'" >> $d/postgresql.conf
echo 'hostssl all all all scram-sha-256' >> $d/pg_hba.conf
pg_ctl -D $d -w start -o "-c listen_addresses=''" >/dev/null
psql -h /tmp -U postgres -qc "CREATE ROLE \\"$PGUSER\\" LOGIN PASSWORD '$PGPASSWORD'" -c "CREATE DATABASE \\"$PGDATABASE\\" OWNER \\"$PGUSER\\"" postgres
pg_ctl -D $d -w stop >/dev/null
exec postgres -D $d
`;
  return {
    namespace: NAMESPACE,
    name: 'bare',
    command: ['sh', '-c', script],
    env: { ...clientEnv(access), CONF: settings.join('\n') },
    data: true,
    secret: names(cluster).server,
    port: access.port,
  };
}

function clientEnv({ user, password, database }: Access): Record<string, string> {
  return { PGUSER: user, PGPASSWORD: password, PGDATABASE: database, PGSSLMODE: 'require' };
}

async function pgbenchOnHost(access: Access, args: string[], seconds: number): Promise<number> {
  const bin = findPostgres().get('15') ?? [...findPostgres().values()].at(-1) ?? '';
  const { stdout, stderr } = await exec(
    `${bin}/pgbench`,
    [...args, '-h', access.host, '-p', String(access.port), '-U', access.user, access.database],
    {
      timeout: (seconds + 30) * 1000,
      env: { ...process.env, PGPASSWORD: access.password, PGSSLMODE: 'require' },
    },
  );
  return tps(stdout, stderr);
}

/** Reads `tps = 1234.5 (without initial connection time)`. */
function tps(stdout: string, stderr: string): number {
  const match = /tps = ([\d.]+)/.exec(stdout);
  if (!match) throw new Error(`pgbench did not say a rate: ${stderr || stdout}`);
  return Number(match[1]);
}

const AIMS: Partial<Record<Target, number>> = { pod: 0.98, rw: 0.95 };
const TITLES = { pod: 'straight to the pod', rw: 'through -rw', host: 'from the host' };

function outcome(rates: Record<Kind, Rates>, about: { runs: number; seconds: number }) {
  const result: Record<string, object> = {};
  const lines = [
    `pgbench, scale ${SCALE}, ${CLIENTS} clients, TLS, median of ${about.runs} runs of ${about.seconds} s:`,
  ];
  for (const [kind, each] of Object.entries(rates)) {
    const bare = median(Object.values(each).flatMap((pairs) => pairs.map((pair) => pair.bare)));
    lines.push(`  ${kind}: without pgherd ${Math.round(bare)} TPS`);
    const ratios: Record<string, number> = {};
    for (const target of TARGETS) {
      const ratio = median(each[target].map((pair) => pair.ours / pair.bare));
      ratios[target] = Math.round(ratio * 1000) / 1000;
      const aim = AIMS[target];
      const rate = Math.round(median(each[target].map(({ ours }) => ours)));
      lines.push(
        `    ${TITLES[target].padEnd(20)} ${rate} TPS, ratio ${ratio.toFixed(3)}${aim ? ` (aim: ${aim} or more)` : ''}`,
      );
    }
    result[kind] = { bareTps: Math.round(bare), ratios, rates: each };
  }
  return { result: { ...about, clients: CLIENTS, scale: SCALE, aims: AIMS, ...result }, lines };
}
