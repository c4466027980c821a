/** A repository on a file system that is full: no WAL is lost, and the report says why it waits. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { openPostgres, type Postgres, renderBackrest, runBackrest, serverOptions } from '@pgherd/postgres';
import { freePort, killAllIn, quiet, testFolder, until } from '@pgherd/postgres/testing';
import { ARCHIVE_COMMAND } from '../database/parameters.ts';
import { runInside, sandbox } from '../testing-sandbox.ts';
import { archiveFolder, archiveReport, archiverRow } from './archive-report.ts';
import { ArchiveMarks, withLeadingMark } from './marks.ts';
import { fillVolume } from './testing-store.ts';

const RUN = '/run/pgherd';
const REPOSITORY_MB = 60;
const PATIENCE_MS = 60_000;
const FOR_EVER = 1e9;

if (sandbox === undefined)
  test('a full repository', (t) =>
    runInside(t, { file: import.meta.filename, volumes: { repository: REPOSITORY_MB }, pod: true }));
else describe('a full repository', () => story(join(sandbox as string, 'repository')));

function story(volume: string): void {
  const folder = testFolder();
  const pgdata = join(folder, 'pgdata');
  const socketDir = join(folder, 's');
  const repository = join(volume, 'pgbackrest');
  const filler = join(volume, 'filler');
  let marks: ArchiveMarks;
  let pg: Postgres;
  let stanza = '';

  async function sql(text: string): Promise<Record<string, unknown>[]> {
    const session = await pg.session();
    try {
      return await session.query(text);
    } finally {
      session.close();
    }
  }

  async function report() {
    const { waiting } = await archiveFolder(pgdata);
    const session = await pg.session();
    try {
      const row = await archiverRow((text) => session.query(text) as never);
      return archiveReport(row, waiting.length, marks.said(stanza));
    } finally {
      session.close();
    }
  }

  async function makeWal(count: number): Promise<void> {
    // What cannot be made smaller.
    for (let n = 0; n < count; n++) {
      await sql(
        `insert into t select decode(string_agg(md5(random()::text), ''), 'hex') from generate_series(1, 60000) group by generate_series % 600`,
      );
      await sql('select pg_switch_wal()');
    }
  }

  before(async () => {
    marks = new ArchiveMarks(RUN);
    const port = await freePort();
    pg = await openPostgres({ pgdata, socketDir, port, log: quiet });
    await pg.initdb({ dataChecksums: true });
    stanza = `demo-${(await pg.controlData()).systemID}`;
    mkdirSync(repository);
    const config = join(RUN, 'pgbackrest', 'pgbackrest.conf');
    const server = serverOptions(1, { path: pgdata, port, socketDir, user: 'postgres' });
    const settings = {
      'repo1-path': repository,
      'lock-path': join(folder, 'lock'),
      'log-level-file': 'off',
      'archive-mode-check': false,
    };
    writeFileSync(config, renderBackrest({ global: settings, [stanza]: server }));
    withLeadingMark({ beat: () => true, close: () => undefined }, RUN).beat(FOR_EVER);
    const options = [
      `port=${port}`,
      `unix_socket_directories=${socketDir}`,
      'listen_addresses=',
      'archive_mode=always',
      `archive_command=${ARCHIVE_COMMAND}`,
    ];
    await pg.start({ args: options.flatMap((each) => ['-c', each]) });
    await runBackrest('stanza-create', { config, stanza, doing: 'stanza-create' });
    marks.stanza(stanza);
    await sql('create table t (b bytea)');
  });
  after(async () => {
    await pg.die().catch(() => undefined);
    killAllIn(pgdata);
  });

  test('WAL waits, and is all there once there is room', async () => {
    await makeWal(1);
    await until('WAL to be archived', async () => (await report()).lastArchivedAt !== undefined, PATIENCE_MS);
    fillVolume(filler);
    await makeWal(3);
    await until('the error', async () => (await report()).error !== undefined, PATIENCE_MS);
    const { error, waiting, waitingBytes, lastFailed } = await report();
    assert.match(error!, /\[\d{3}\]: .*No space left on device/);
    assert.match(lastFailed!, /^[0-9A-F]{24}$/);
    assert.ok(waiting >= 3);
    assert.equal(waitingBytes, waiting * 16 * 1024 * 1024);

    rmSync(filler);
    const [last] = await sql('select pg_walfile_name(pg_switch_wal()) as f');
    await until(
      'the backlog to be drained',
      async () => {
        const now = await report();
        return now.waiting === 0 && now.error === undefined;
      },
      PATIENCE_MS,
    );
    const listed = await runBackrest('repo-ls', {
      config: join(RUN, 'pgbackrest', 'pgbackrest.conf'),
      doing: 'listing the archive',
      args: [`archive/${stanza}/15-1/0000000100000000`],
    });
    const serials = [...listed.matchAll(/^[0-9A-F]{16}([0-9A-F]{8})-/gm)].map(([, serial]) =>
      Number.parseInt(serial!, 16),
    );
    const end = Number.parseInt(String(last!.f).slice(16), 16);
    assert.deepEqual(
      serials.sort((a, b) => a - b),
      Array.from({ length: end }, (_, index) => index + 1),
    );
  });
}
