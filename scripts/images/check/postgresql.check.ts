import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '../command.ts';
import { opened } from './opened.ts';
import { outputOf, type Sandbox } from './sandbox.ts';

const it = opened('postgresql');
const USER = 26;

function pod(changes: Partial<Sandbox> = {}): Sandbox {
  return { root: it.image.root, uid: USER, env: it.image.config.config.Env, ...changes };
}

function find(...args: string[]): string[] {
  const lines = run('find', [it.image.root, '-xdev', ...args])
    .split('\n')
    .filter(Boolean);
  return lines.map((line) => line.slice(it.image.root.length)).sort();
}

test('every digest in the archive is true, and docker finds what ctr finds', () => {
  assert.deepEqual(it.image.problems, []);
});

test('skopeo reads it both ways', () => {
  for (const transport of ['oci-archive', 'docker-archive']) {
    const { Labels, Env } = JSON.parse(run('skopeo', ['inspect', `${transport}:${it.file}`]));
    assert.equal(Labels['org.opencontainers.image.title'], 'postgresql');
    assert.ok(Env.includes('LANG=en_US.UTF-8'));
  }
});

test('it runs as postgres, 26:26', () => {
  assert.equal(it.image.config.config.User, '26:26');
  assert.equal(outputOf(pod(), ['id']), 'uid=26(postgres) gid=26(postgres) groups=26(postgres)');
  const groups = readFileSync(join(it.image.root, 'etc/group'), 'utf8');
  assert.deepEqual(
    groups.split('\n').filter((line) => /:.*\bpostgres\b/.test(line)),
    [],
  );
});

const programs: [string[], RegExp][] = [
  [['postgres', '--version'], /^postgres \(PostgreSQL\) 15\./],
  [['psql', '--version'], /^psql \(PostgreSQL\) 15\./],
  [['/usr/bin/psql', '--version'], /^psql \(PostgreSQL\) 15\./],
  [['pg_basebackup', '--version'], /15\./],
  [['pg_rewind', '--version'], /15\./],
  [['pgbackrest', 'version'], /^pgBackRest 2\./],
  [['pgbouncer', '--version'], /^PgBouncer 1\./],
  [['bash', '--version'], /GNU bash/],
];
for (const [command, expected] of programs)
  test(`${command.join(' ')} answers`, () => assert.match(outputOf(pod(), command), expected));

test('it knows en_US.UTF-8', () => {
  assert.match(outputOf(pod(), ['locale', '-a']), /^en_US\.utf8$/m);
});

test('every program and library finds the libraries it needs', () => {
  const script = `find / -xdev -type f \\( -perm -u+x -o -name '*.so*' \\) | while read -r file; do
    [ "$(head -c 4 "$file" | tail -c 3)" = ELF ] && ldd "$file" 2>&1 | grep 'not found' | sed "s|^|$file:|"; done; true`;
  assert.equal(outputOf(pod({ timeoutMs: 120_000 }), ['bash', '-c', script]), '');
});

test('no compiler, interpreter, package manager or way to become root is in it', () => {
  const unwanted =
    /\/(cc|gcc|g\+\+|clang|tcc|as|ld|make|perl[0-9.]*|python[0-9.]*|apt|apt-get|dpkg|pip|curl|wget|sudo)$/;
  assert.deepEqual(
    find('-type', 'f').filter((path) => unwanted.test(path)),
    [],
  );
  assert.deepEqual(find('-perm', '/6000', '-type', 'f'), []);
  assert.deepEqual(find('-name', '*.h', '-o', '-name', '*.a'), []);
});

test('no key, history, log or machine identity is in it', () => {
  assert.deepEqual(
    find('-type', 'f', '(', '-name', '.*history', '-o', '-name', '*.key', '-o', '-name', 'machine-id', ')'),
    [],
  );
  assert.deepEqual(find('-path', '*/var/log/*', '-type', 'f'), []);
  const keys = run('sh', ['-c', `grep -rlE 'BEGIN [A-Z ]*PRIVATE KEY' '${it.image.root}' || true`]);
  // Libraries carry the words, to read such files.
  assert.deepEqual(
    keys.split('\n').filter((path) => path && !/\/(lib|bin)\//.test(path)),
    [],
  );
});

test('scanners find what packages it is made of', () => {
  const status = readFileSync(join(it.image.root, 'var/lib/dpkg/status'), 'utf8');
  for (const name of ['postgresql-15', 'libssl3', 'libc6'])
    assert.match(status, new RegExp(`^Package: ${name}$`, 'm'));
  assert.doesNotMatch(status, /^Package: (libllvm14|perl)$/m);
  assert.ok(existsSync(join(it.image.root, 'usr/share/doc/postgresql-15/copyright')));
});

test('on a read-only root, as 26: initdb, start, every extension, sorted text, stop', () => {
  const data = it.volume(USER);
  const script = `set -e
    initdb -D $PGDATA -k --auth=trust >/tmp/initdb
    echo "shared_preload_libraries = 'pgaudit,pg_stat_statements'" >>$PGDATA/postgresql.conf
    pg_ctl -w -D $PGDATA -l /tmp/log -o "-k /tmp -c listen_addresses=''" start >/dev/null
    sql() { psql -X -h /tmp -v ON_ERROR_STOP=1 -Atqc "$1" postgres; }
    for name in $(sql 'select name from pg_available_extensions'); do
      sql "create extension if not exists \\"$name\\" cascade" 2>&1 | grep -v -e NOTICE -e '^$' || true
    done
    sql 'select count(*) > 45 from pg_extension'
    sql "select extname from pg_extension where extname in ('pgaudit', 'pg_stat_statements') order by 1"
    sql "select string_agg(x, '' order by x) from unnest('{b,A,a,B}'::text[]) x"
    sql "select datcollate from pg_database where datname = 'postgres'"
    sql "select '2026-07-01 12:00Z'::timestamptz at time zone 'Europe/Berlin'"
    pg_ctl -w -D $PGDATA stop >/dev/null`;
  const output = outputOf(pod({ volumes: { '/var/lib/postgresql/data': data }, timeoutMs: 120_000 }), [
    'bash',
    '-c',
    script,
  ]);
  assert.deepEqual(output.split('\n'), [
    't',
    'pg_stat_statements',
    'pgaudit',
    'aAbB',
    'en_US.UTF-8',
    '2026-07-01 14:00:00',
  ]);
  assert.ok(readdirSync(join(data, 'pgdata')).includes('PG_VERSION'));
});
