/** A volume behind a server of pgBackRest, and a store that is away: WAL goes ahead to the volume. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { silent } from '@pgherd/kube';
import {
  openPostgres,
  type Postgres,
  renderBackrest,
  repositoryOptions,
  runBackrest,
  serverOptions,
  tlsServerOptions,
} from '@pgherd/postgres';
import {
  freePort,
  killAllIn,
  killIfThere,
  processesWith,
  quiet,
  testFolder,
  until,
} from '@pgherd/postgres/testing';
import { tlsFiles } from '../database/layout.ts';
import { makeTls } from '../testing.ts';
import { Ahead } from './ahead.ts';
import { archiveFolder } from './archive-report.ts';
import { ArchiveMarks, withLeadingMark } from './marks.ts';
import { backrestFiles } from './setup.ts';

const PATIENCE_MS = 60_000;
const LOOK_MS = 250;
/** Nobody listens there. */
const NOWHERE = 9;

const folder = testFolder();
const run = join(folder, 'run');
const pgdata = join(folder, 'pgdata');
const socketDir = join(folder, 's');
const files = backrestFiles(join(run, 'pgbackrest'));
let marks: ArchiveMarks;
let pg: Postgres;
let server: ChildProcess;
let ahead: Ahead;
let stanza = '';
let looking: NodeJS.Timeout;

async function makeWal(count: number): Promise<string> {
  const session = await pg.session();
  let last = '';
  try {
    for (let n = 0; n < count; n++) {
      await session.query('select txid_current()');
      const [row] = await session.query<{ f: string }>('select pg_walfile_name(pg_switch_wal()) as f');
      last = row!.f;
    }
  } finally {
    session.close();
  }
  return last;
}

async function isThere(file: string): Promise<boolean> {
  const listed = await runBackrest('repo-ls', {
    config: files.alone(1),
    doing: 'listing the archive',
    args: [`archive/${stanza}/15-1/0000000100000000`],
  });
  return listed.includes(file);
}

/** The server that stands for the repository pod, and the configurations of both sides. */
async function configure(port: number, pgPort: number): Promise<void> {
  makeTls(join(folder, 'tls'), ['localhost']);
  const tls = tlsFiles(join(folder, 'tls'));
  const there = join(folder, 'there.conf');
  const repository = join(folder, 'repository');
  mkdirSync(repository);
  mkdirSync(files.secrets, { recursive: true });
  const quietly = { 'log-level-file': 'off' };
  const theirs = tlsServerOptions({
    port,
    tls: { ca: tls.clientCa, cert: tls.serverCert, key: tls.serverKey },
    clients: { streaming_replica: '*' },
  });
  const lock = { 'lock-path': join(folder, 'lock-there') };
  writeFileSync(
    there,
    renderBackrest({ global: { 'repo1-path': repository, ...lock, ...quietly, ...theirs } }),
  );
  server = spawn('pgbackrest', ['server', `--config=${there}`], { stdio: 'ignore' });
  const client = { ca: tls.ca, cert: tls.clientCert, key: tls.clientKey };
  const volume = repositoryOptions({
    number: 1,
    place: { kind: 'host', host: 'localhost', port, tls: client, config: there },
  });
  const away = repositoryOptions({
    number: 2,
    place: {
      kind: 's3',
      endpoint: '127.0.0.1',
      port: NOWHERE,
      path: '/far',
      bucket: 'b',
      region: 'r',
      uriStyle: 'path',
      keys: { id: 'id', secret: 'secret' },
    },
  });
  const own = {
    ...quietly,
    'lock-path': join(folder, 'lock-here'),
    'spool-path': join(folder, 'spool'),
    'archive-async': true,
    'archive-mode-check': false,
  };
  const push = { 'archive-timeout': 30, 'io-timeout': 3 };
  const pg1 = serverOptions(1, { path: pgdata, port: pgPort, socketDir, user: 'postgres' });
  for (const [path, repositories] of [
    [files.all, { ...volume, ...away }],
    [files.alone(1), volume],
    [files.alone(2), away],
  ] as const)
    writeFileSync(
      path,
      renderBackrest({ global: { ...own, ...repositories }, 'global:archive-push': push, [stanza]: pg1 }),
    );
}

before(async () => {
  marks = new ArchiveMarks(run);
  const port = await freePort();
  pg = await openPostgres({ pgdata, socketDir, port, log: quiet });
  await pg.initdb({ dataChecksums: true });
  stanza = `demo-${(await pg.controlData()).systemID}`;
  await configure(await freePort(), port);
  withLeadingMark({ beat: () => true, close: () => undefined }, run).beat(1e9);
  // In a place by which its processes are known.
  const script = join(folder, 'archive.sh');
  copyFileSync(join(import.meta.dirname, 'archive.sh'), script);
  const options = [
    `port=${port}`,
    `unix_socket_directories=${socketDir}`,
    'listen_addresses=',
    'archive_mode=on',
    `archive_command=PGHERD_RUN=${run} sh ${script} "%p"`,
  ];
  await pg.start({ args: options.flatMap((each) => ['-c', each]) });
  const doing = 'stanza-create';
  await until(
    'the server',
    () =>
      runBackrest(doing, { config: files.alone(1), stanza, doing }).then(
        () => true,
        () => false,
      ),
    PATIENCE_MS,
  );
  marks.stanza(stanza);
  ahead = new Ahead({
    folder: marks.folder,
    pgdata,
    log: silent,
    marks,
    leads: () => true,
    heldUpMs: 1_000,
  });
  const repositories = new Map([
    ['volume', 1],
    ['away', 2],
  ]);
  looking = setInterval(async () => {
    const { waiting } = await archiveFolder(pgdata);
    ahead.see(stanza, waiting, repositories);
  }, LOOK_MS);
});
after(async () => {
  clearInterval(looking);
  await pg.die().catch(() => undefined);
  server.kill('SIGKILL');
  killAllIn(pgdata);
  // What was being started is seen a moment later.
  await until('nothing to be left', () => {
    const left = processesWith(folder);
    left.forEach(killIfThere);
    return left.length === 0 && processesWith(folder).length === 0;
  });
});

test('all WAL comes to the volume, whose lock the push of PostgreSQL holds meanwhile', async () => {
  const last = await makeWal(6);
  await until(`${last} to be in the volume`, () => isThere(last), PATIENCE_MS);
  assert.ok(!ahead.problems().some(([name]) => name === 'volume'), 'it is blamed for the other');
  assert.ok((await archiveFolder(pgdata)).waiting.length >= 6, 'nothing is taken for archived');
});
