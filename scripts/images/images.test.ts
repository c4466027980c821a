import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pgherdConfig, postgresqlConfig } from './build.ts';
import { openImage } from './check/archive.ts';
import { parseListing, partsOf } from './contents.ts';
import { aptSettings, parseList, parseTargets, readList } from './debian.ts';
import { carriedPackages } from './licences.ts';
import { type RunConfig, tarFolder, writeImage } from './oci.ts';
import { POSTGRES_MAJOR, RECIPES, VERSION } from './settings.ts';

const scratch = mkdtempSync(join(tmpdir(), 'pgherd-images-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

test('sources: those of one Debian release and its updates, each once', () => {
  const text = `http://a/debian/ bookworm main
http://a/debian/ bookworm main
http://a/debian/ bookworm-updates main
http://a/debian/ bookworm non-free
http://s/debian-security/ bookworm-security main
http://pgdg/ bookworm-pgdg main
http://node/ nodistro main
http://a/debian/ trixie main
`;
  assert.deepEqual(parseTargets(text, 'bookworm'), [
    'deb http://a/debian/ bookworm main',
    'deb http://a/debian/ bookworm-updates main',
    'deb http://s/debian-security/ bookworm-security main',
  ]);
});

test('settings of apt: how to reach and whether to believe sources, nothing else', () => {
  const dump = `APT::Architecture "amd64";
Acquire::Check-Valid-Until "false";
Acquire::http::Proxy "http://proxy:3128";
Acquire::http::Proxy::internal "DIRECT";
Acquire::Languages "none";
DPkg::Post-Invoke:: "rm -f /var/cache/apt/archives/*.deb";
`;
  assert.deepEqual(aptSettings(dump), [
    'Acquire::Check-Valid-Until "false"',
    'Acquire::http::Proxy "http://proxy:3128"',
    'Acquire::http::Proxy::internal "DIRECT"',
  ]);
});

test('lists: comments and blanks are none of it', () => {
  assert.deepEqual(parseList('# a\n\nb\n  c  \n'), ['b', 'c']);
  assert.ok(readList('postgresql/packages.txt').includes('pgbackrest'));
});

test('what fills an image: large files, then folders, then the rest', () => {
  const listing = `drwxr-xr-x 0/0               0 2026-11-01 00:00:00 ./usr/
-rwxr-xr-x 0/0            9000 2026-11-01 00:00:00 ./usr/bin/big one
-rw-r--r-- 0/0             600 2026-11-01 00:00:00 ./usr/share/a/x
-rw-r--r-- 0/0             700 2026-11-01 00:00:00 ./usr/share/a/b/y
-rw-r--r-- 0/0              50 2026-11-01 00:00:00 ./etc/z
lrwxrwxrwx 0/0               0 2026-11-01 00:00:00 ./bin -> usr/bin
`;
  assert.deepEqual(partsOf(parseListing(listing), 1000), [
    { path: '/usr/bin/big one', size: 9000 },
    { path: '/usr/share/a (other files)', size: 1300 },
    { path: 'all else', size: 50 },
  ]);
});

test('licences: of what is carried, not of what only builds', () => {
  const lock = {
    '': {},
    'packages/api': { version: '0.1.0' },
    'node_modules/b': { version: '2.0.0', license: 'MIT' },
    'node_modules/@pgherd/api': { link: true },
    'node_modules/a/node_modules/@x/c': { version: '1.0.0', license: 'ISC' },
    'node_modules/tool': { dev: true },
    'node_modules/binary': { optional: true },
  };
  assert.deepEqual(
    carriedPackages(lock).map(({ name, about }) => [name, about]),
    [
      ['@x/c', '1.0.0, ISC'],
      ['b', '2.0.0, MIT'],
    ],
  );
});

test('an archive says what it holds, and the same input makes the same bytes', async () => {
  const folder = join(scratch, 'root');
  mkdirSync(join(folder, 'etc'), { recursive: true });
  writeFileSync(join(folder, 'etc', 'motd'), 'hello\n');
  const config: RunConfig = { User: '26:26', Env: ['A=1'], Cmd: ['true'], Labels: { x: 'y' } };
  const files: Buffer[] = [];
  for (const round of ['one', 'two']) {
    const tar = join(scratch, `${round}.layer`);
    tarFolder(folder, tar, 1_000_000_000);
    const file = join(scratch, `${round}.tar`);
    const input = {
      reference: 'example.org/a/b:c',
      architecture: 'amd64',
      config,
      layers: [{ tar, madeBy: 'a test' }],
      epoch: 1_000_000_000,
    };
    const built = await writeImage(input, file, scratch);
    const opened = await openImage(file, join(scratch, round));
    assert.deepEqual(opened.problems, []);
    assert.equal(opened.digest, built.digest);
    assert.equal(opened.reference, 'example.org/a/b:c');
    assert.deepEqual(opened.config.config, config);
    assert.equal(readFileSync(join(opened.root, 'etc', 'motd'), 'utf8'), 'hello\n');
    files.push(readFileSync(file));
  }
  assert.ok(files[0]!.equals(files[1]!));
});

/** What a Dockerfile's last stage sets, as an image's configuration. */
function configOfDockerfile(path: string): Partial<RunConfig> {
  const text = readFileSync(join(RECIPES, path), 'utf8').replaceAll('\\\n', ' ');
  const lines = text.slice(text.lastIndexOf('FROM ')).split('\n');
  const all = (word: string) =>
    lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
  const pairs = (word: string) =>
    all(word).flatMap((line) =>
      [...line.matchAll(/(\S+?)=("[^"]*"|\S+)/g)].map((m) => [m[1]!, m[2]!.replace(/^"|"$/g, '')]),
    );
  const command = (word: string) => all(word).map((line) => JSON.parse(line) as string[])[0];
  return {
    User: all('USER')[0],
    Env: pairs('ENV').map(([name, value]) => `${name}=${value}`),
    Entrypoint: command('ENTRYPOINT'),
    Cmd: command('CMD'),
    WorkingDir: all('WORKDIR')[0],
    StopSignal: all('STOPSIGNAL')[0],
    Labels: Object.fromEntries(pairs('LABEL')) as Record<string, string>,
  };
}

for (const [name, config] of Object.entries({ pgherd: pgherdConfig(), postgresql: postgresqlConfig() }))
  test(`the Dockerfile of ${name} sets what the archive sets`, () => {
    const { 'org.opencontainers.image.created': _, ...Labels } = config.Labels;
    assert.deepEqual(
      JSON.parse(JSON.stringify(configOfDockerfile(`${name}/Dockerfile`))),
      JSON.parse(JSON.stringify({ ...config, Labels })),
    );
  });

test('names in the recipes follow the versions', () => {
  assert.ok(readList('postgresql/packages.txt').includes(`postgresql-${POSTGRES_MAJOR}`));
  assert.match(readFileSync(join(RECIPES, 'pgherd/Dockerfile'), 'utf8'), new RegExp(`pgherd:${VERSION} `));
});
