/**
 * kill -9 of what takes part in a backup: of pgBackRest, of PostgreSQL, and of the manager with all that it started, as
 * the guard does it. It ends with words, leaves no half backup, and the next one works.
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { BackupJob } from '@pgherd/api';
import {
  openPostgres,
  type Postgres,
  renderBackrest,
  repositoryOptions,
  serverOptions,
} from '@pgherd/postgres';
import {
  freePort,
  killAllIn,
  killIfThere,
  postmasterOf,
  processesWith,
  quiet,
  testFolder,
  until,
} from '@pgherd/postgres/testing';
import { BackupJobs } from './jobs.ts';
import { backrestFiles } from './setup.ts';

const PATIENCE_MS = 120_000;
const ROWS = 20_000;
const folder = testFolder();
const port = await freePort();
const server = { path: join(folder, 'source'), port, socketDir: join(folder, 's'), user: 'postgres' };
const files = backrestFiles(join(folder, 'backrest'));
let pg: Postgres;
let stanza = '';
let jobs: BackupJobs;
let asked = 0;

const push = () =>
  `pgbackrest --config=${files.all} --stanza=${stanza} --log-level-console=off archive-push %p`;
const startSource = () =>
  pg.start({
    args: [
      `port=${port}`,
      `unix_socket_directories=${server.socketDir}`,
      'listen_addresses=',
      'archive_mode=on',
      `archive_command=${push()}`,
      'wal_level=logical',
    ].flatMap((each) => ['-c', each]),
  });

before(async () => {
  const repository = join(folder, 'repository');
  for (const path of [repository, files.secrets]) mkdirSync(path, { recursive: true });
  pg = await openPostgres({ pgdata: server.path, socketDir: server.socketDir, port, log: quiet });
  await pg.initdb({ dataChecksums: true });
  stanza = `demo-${(await pg.controlData()).systemID}`;
  const text = renderBackrest({
    global: {
      'lock-path': join(folder, 'lock'),
      'log-level-file': 'off',
      'start-fast': true,
      // Slow enough to be killed in the middle.
      'compress-type': 'gz',
      'compress-level': 6,
      ...repositoryOptions({ number: 1, place: { kind: 'folder', path: repository } }),
    },
    [stanza]: serverOptions(1, server),
  });
  for (const path of [files.all, files.alone(1)]) writeFileSync(path, text);
  await startSource();
  jobs = new BackupJobs({ folder: join(folder, 'backrest'), log: quiet, server: () => server });
  await jobs.createStanza(stanza, 'demo-1', 1);
  const session = await pg.session();
  await session.query('create table t (i int, b text)');
  await session.query(`insert into t select i, repeat(md5(i::text), 40) from generate_series(1, ${ROWS}) i`);
  session.close();
});

after(async () => {
  await pg.die().catch(() => undefined);
  killAllIn(server.path);
});

const killAll = (pids: number[]) => pids.forEach(killIfThere);

describe('a backup', () => {
  async function begin(): Promise<BackupJob> {
    const id = `b${++asked}`;
    const job = jobs.start({ id, stanza, repository: 1, type: 'full', primary: 'demo-1' })!;
    await until('it to copy', () => processesWith(files.alone(1), 'backup:local').length > 0, PATIENCE_MS);
    return job;
  }
  async function end(job: BackupJob): Promise<BackupJob> {
    await until('it to end', () => job.phase !== 'running', PATIENCE_MS);
    return job;
  }
  /** What failed is no backup, and the next one is. */
  async function worksAgain(failed: BackupJob): Promise<void> {
    assert.equal(failed.phase, 'failed');
    const next = await end(await begin());
    assert.equal(next.phase, 'done', next.error);
    const info = await jobs.info(stanza, 1);
    assert.ok(!info!.backups.some(({ annotations }) => Object.values(annotations).includes(failed.id)));
  }

  test('pgBackRest is killed', async () => {
    const job = await begin();
    killAll(processesWith(files.alone(1), 'backup'));
    assert.match((await end(job)).error ?? '', /backing up .*SIGKILL/);
    await worksAgain(job);
  });

  test('one of its processes is killed', async () => {
    const job = await begin();
    killAll(processesWith(files.alone(1), 'backup:local'));
    assert.match((await end(job)).error ?? '', /a process that takes part has ended/);
    await worksAgain(job);
  });

  test('PostgreSQL is killed', async () => {
    const job = await begin();
    process.kill(postmasterOf(server.path), 'SIGKILL');
    await pg.die();
    assert.match((await end(job)).error ?? '', /\[\d{3}\]: /);
    await startSource();
    await worksAgain(job);
  });

  test('the manager is killed, and all with it', async () => {
    const job = await begin();
    killAll([...processesWith(files.alone(1)), postmasterOf(server.path)]);
    await pg.die();
    await end(job);
    // Another manager knows nothing of it.
    jobs = new BackupJobs({ folder: join(folder, 'backrest'), log: quiet, server: () => server });
    assert.equal(jobs.get(job.id), undefined);
    await startSource();
    await worksAgain(job);
  });
});
