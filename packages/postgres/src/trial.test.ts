import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { openSession, type Postgres, type Settings } from './index.ts';
import { until } from './testing.ts';
import { TestServers } from './testing-servers.ts';
import { refusals, sentences } from './trial.ts';

const servers = new TestServers();
let pg: Postgres;

before(async () => {
  pg = await servers.make('one');
  await pg.initdb({ dataChecksums: true, encoding: 'UTF8', locale: 'C' });
});
after(() => servers.end());

const tried = (changed: Settings): Promise<string[]> =>
  refusals(
    { ...servers.settings(pg), ...changed },
    { bin: pg.bin, major: pg.major, pgdata: pg.pgdata, scratch: servers.folder },
  );

test('what PostgreSQL takes is not refused, whether it runs or not, and nothing is left behind', async () => {
  const libraries = {
    shared_preload_libraries: 'auto_explain',
    session_preload_libraries: ' "auto_explain", auth_delay',
  };
  assert.deepEqual(await tried({ work_mem: '7MB', ...libraries }), []);
  await servers.startPrimary(pg);
  assert.deepEqual(await tried({ max_connections: '50', 'my.own': 'x' }), []);
  assert.equal(pg.state, 'running');
  assert.deepEqual(
    readdirSync(servers.folder).filter((name) => name.startsWith('trial')),
    [],
  );
});

const WRONG: [string, Settings, RegExp][] = [
  ['a value', { work_mem: 'lots' }, /^invalid value for parameter "work_mem": "lots"/],
  ['a unit', { shared_buffers: '1 GiB' }, /invalid value for parameter "shared_buffers".*Valid units/],
  ['a name', { work_memory: '1MB' }, /^unrecognized configuration parameter "work_memory"$/],
  ['out of range', { max_connections: '0' }, /0 is outside the valid range for parameter "max_connections"/],
  ['no such word', { log_min_messages: 'loud' }, /"log_min_messages": "loud"/],
  ['a library that is not there', { shared_preload_libraries: 'nolib' }, /could not access file "nolib"/],
  ['one for each session', { session_preload_libraries: 'nolib' }, /could not access file "nolib"/],
  [
    'one of the plugins',
    { local_preload_libraries: 'nolib' },
    /could not access file "\$libdir\/plugins\/nolib"/,
  ],
  ['two that do not go together', { superuser_reserved_connections: '200' }, /must be less than/],
  ['more memory than there is', { shared_buffers: '4TB' }, /ask for \d+ MB of shared memory, and there are/],
];
for (const [what, settings, says] of WRONG) {
  test(`refused: ${what}`, async () => {
    assert.match((await tried(settings)).join('; '), says);
  });
}

test('a library that is not there locks nobody out who would take the setting back', async () => {
  await pg.writeSettings({ ...servers.settings(pg), session_preload_libraries: 'nolib' });
  pg.reload();
  const login = { host: pg.options.socketDir, port: pg.options.port, user: 'postgres', database: 'postgres' };
  await until('others to be locked out', async () => {
    const why = await openSession(login).then((session) => session.close(), String);
    return /could not access file "nolib"/.test(why ?? '');
  });
  const session = await servers.session(pg);
  assert.deepEqual(await session.query('select 1 as one'), [{ one: 1 }]);
});

test('what is ours in the output is not told', () => {
  assert.deepEqual(
    sentences([
      '2026-11-28 10:52:08.626 GMT [112] LOG:  skipping missing configuration file "/x/postgresql.auto.conf"',
      '2026-11-28 10:52:08.626 GMT [112] LOG:  unrecognized configuration parameter "nope" in file "/x/pgherd.conf" line 8',
      '2026-11-28 10:52:08.626 GMT [112] FATAL:  configuration file "/x/postgresql.conf" contains errors',
    ]),
    ['unrecognized configuration parameter "nope"'],
  );
});
