import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PostgresError } from '../errors.ts';
import { testFolder } from '../testing.ts';
import { dependents, parseBackrestInfo } from './info.ts';
import {
  type BackrestRepository,
  everyAddress,
  optionArgs,
  renderBackrest,
  repositoryOptions,
  serverOptions,
  tlsServerOptions,
} from './options.ts';
import { parseBackrestError, runBackrest } from './run.ts';

const tls = { ca: '/t/ca.crt', cert: '/t/c.crt', key: '/t/c.key' };

const repositories: { what: string; repository: BackrestRepository; lines: string[] }[] = [
  {
    what: 'a folder, encrypted, with all rules',
    repository: {
      number: 2,
      place: { kind: 'folder', path: '/r' },
      passphrase: 'pass=word #1',
      retention: { full: { count: 3 }, differential: 4, archive: { count: 5, type: 'diff' } },
    },
    lines: [
      'repo2-path=/r',
      'repo2-cipher-type=aes-256-cbc',
      'repo2-cipher-pass=pass=word #1',
      'repo2-retention-full=3',
      'repo2-retention-full-type=count',
      'repo2-retention-diff=4',
      'repo2-retention-archive=5',
      'repo2-retention-archive-type=diff',
    ],
  },
  {
    what: 'a host: its rules are its own',
    repository: {
      number: 1,
      place: { kind: 'host', host: 'demo-backup', port: 8432, tls, config: '/run/c.conf' },
      passphrase: 'x',
      retention: { full: { count: 1 } },
    },
    lines: [
      'repo1-host=demo-backup',
      'repo1-host-type=tls',
      'repo1-host-port=8432',
      'repo1-host-ca-file=/t/ca.crt',
      'repo1-host-cert-file=/t/c.crt',
      'repo1-host-key-file=/t/c.key',
      'repo1-host-config=/run/c.conf',
      'repo1-cipher-type=aes-256-cbc',
      'repo1-cipher-pass=x',
    ],
  },
  {
    what: 's3 on another port, kept for days',
    repository: {
      number: 3,
      place: {
        kind: 's3',
        endpoint: 's3.x',
        port: 9000,
        path: '/p',
        caFile: '/t/s3.crt',
        bucket: 'b',
        region: 'r',
        uriStyle: 'path',
        keys: { id: 'i', secret: 's' },
      },
      retention: { full: { days: 14 } },
    },
    lines: [
      'repo3-type=s3',
      'repo3-path=/p',
      'repo3-storage-host=s3.x',
      'repo3-storage-port=9000',
      'repo3-storage-ca-file=/t/s3.crt',
      'repo3-s3-bucket=b',
      'repo3-s3-endpoint=s3.x',
      'repo3-s3-region=r',
      'repo3-s3-uri-style=path',
      'repo3-s3-key=i',
      'repo3-s3-key-secret=s',
      'repo3-retention-full=14',
      'repo3-retention-full-type=time',
    ],
  },
  {
    what: "azure, and gcs by the machine's own account",
    repository: {
      number: 1,
      place: {
        kind: 'azure',
        endpoint: 'blob.core.windows.net',
        path: '/p',
        account: 'a',
        container: 'c',
        uriStyle: 'host',
        key: 'k==',
        keyType: 'shared',
      },
    },
    lines: [
      'repo1-type=azure',
      'repo1-path=/p',
      'repo1-azure-account=a',
      'repo1-azure-container=c',
      'repo1-azure-endpoint=blob.core.windows.net',
      'repo1-azure-uri-style=host',
      'repo1-azure-key=k==',
      'repo1-azure-key-type=shared',
      'repo1-retention-full=9999999',
      'repo1-retention-full-type=count',
    ],
  },
  {
    what: 'gcs',
    repository: { number: 1, place: { kind: 'gcs', endpoint: 'g', path: '/p', bucket: 'b' } },
    lines: [
      'repo1-type=gcs',
      'repo1-path=/p',
      'repo1-gcs-bucket=b',
      'repo1-gcs-endpoint=g',
      'repo1-gcs-key-type=auto',
      'repo1-retention-full=9999999',
      'repo1-retention-full-type=count',
    ],
  },
];

for (const { what, repository, lines } of repositories) {
  test(`options of a repository: ${what}`, () => {
    const text = renderBackrest({ global: repositoryOptions(repository) });
    assert.deepEqual(text.split('\n').slice(3, -1), lines);
  });
}

test('pgBackRest takes what is written for Google Cloud, and asks for a token', async () => {
  const folder = testFolder();
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const keyFile = join(folder, 'key.json');
  const account = {
    type: 'service_account',
    client_email: 'a@b.iam.gserviceaccount.com',
    private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    token_uri: 'https://localhost:1/token',
  };
  writeFileSync(keyFile, JSON.stringify(account));
  const asks = async (more: object, pattern: RegExp) => {
    const place = { kind: 'gcs' as const, endpoint: 'g', path: '/p', bucket: 'b', ...more };
    const config = join(folder, 'pgbackrest.conf');
    writeFileSync(config, renderBackrest({ global: repositoryOptions({ number: 1, place }) }));
    await assert.rejects(
      runBackrest('repo-ls', { config, doing: 'looking', options: { 'io-timeout': 1 } }),
      pattern,
    );
  };
  await asks({ keyFile }, /unable to connect to 'localhost:1'/);
  await asks({}, /'metadata\.google\.internal'/);
});

test('one that crashes, as it does over what it cannot decrypt, is told with what that may mean', async () => {
  const folder = testFolder();
  const config = join(folder, 'pgbackrest.conf');
  const place = { kind: 'folder' as const, path: folder };
  writeFileSync(config, renderBackrest({ global: repositoryOptions({ number: 1, place }) }));
  await assert.rejects(
    runBackrest('repo-ls', { config, doing: 'looking', onStart: (child) => child.kill('SIGSEGV') }),
    /looking: pgbackrest was killed \(SIGSEGV\): .*another passphrase/,
  );
});

test('it listens on both families of addresses where there are both', () => {
  const four = [{ family: 'IPv4' }];
  const both = [...four, { family: 'IPv6' }];
  assert.equal(everyAddress({ lo: four, eth0: four }), '*');
  assert.equal(everyAddress({ lo: both, eth0: four }), '::');
  assert.equal(everyAddress({ eth0: [{ family: 'IPv6' }] }), '::');
  assert.equal(everyAddress({}), '*');
});

test('a server, here and elsewhere, and the TLS server', () => {
  const here = { path: '/d', port: 5432, socketDir: '/run/postgresql', user: 'postgres' };
  const there = { ...here, host: { host: 'h', port: 8432, tls, config: '/c' } };
  const text = renderBackrest({
    global: tlsServerOptions({ port: 8432, tls, clients: { a: '*', b: 'demo-1' } }),
    'demo-1': { ...serverOptions(1, here), ...serverOptions(2, there) },
  });
  for (const line of [
    '[global]',
    'tls-server-auth=a=*',
    'tls-server-auth=b=demo-1',
    // What it starts for others has to notice that they are gone.
    'tcp-keep-alive-idle=20',
    '[demo-1]',
    'pg1-path=/d',
    'pg2-host=h',
    'pg2-host-config=/c',
    'pg2-socket-path=/run/postgresql',
  ])
    assert.ok(text.split('\n').includes(line), line);
  assert.ok(!text.includes('pg1-host'));
});

for (const value of ['a\nb', ' a', 'a\t', '', 'a\r']) {
  test(`a value that the format cannot hold is refused: ${JSON.stringify(value)}`, () => {
    assert.throws(
      () => renderBackrest({ global: { 'repo1-cipher-pass': value } }),
      (error) =>
        error instanceof PostgresError &&
        error.code === 'BadOption' &&
        /repo1-cipher-pass/.test(error.message),
    );
  });
}

test('nobody gets a section of his own by a name', () => {
  assert.throws(() => renderBackrest({ 'a]\nrepo1-path=/': {} }), /no name of a section/);
  assert.throws(() => renderBackrest({ global: { 'a=b': 'c' } }), /no name of an option/);
});

test('options as arguments', () => {
  assert.deepEqual(
    optionArgs({ repo: 1, delta: true, 'start-fast': false, annotation: ['a=b', 'c=d'], x: undefined }),
    ['--repo=1', '--delta', '--no-start-fast', '--annotation=a=b', '--annotation=c=d'],
  );
});

test('errors keep their number, their words and their hints', () => {
  assert.deepEqual(
    parseBackrestError([
      'INFO: backup command begin 2.45: --x',
      'ERROR: [056]: unable to find primary cluster - cannot proceed',
      '       and more',
      '       HINT: are all available clusters in recovery?',
      '       HINT: is one there?',
      'INFO: backup command end: aborted with exception [056]',
    ]),
    {
      number: 56,
      text: '[056]: unable to find primary cluster - cannot proceed and more (HINT: are all available clusters in recovery? HINT: is one there?)',
    },
  );
  assert.equal(
    parseBackrestError([
      "WARN: unable to check pg1: [LockAcquireError] raised from remote-0 tls protocol on 'h': unable to acquire lock",
      '      HINT: is another pgBackRest process running?',
      'ERROR: [056]: unable to find primary cluster - cannot proceed',
      '       HINT: are all available clusters in recovery?',
    ])?.text,
    "[056]: unable to find primary cluster - cannot proceed: [LockAcquireError] raised from remote-0 tls protocol on 'h': unable to acquire lock",
  );
  assert.equal(
    parseBackrestError(['2026-01-02 03:04:05.678 P00  ERROR: [082]: WAL segment x was not archived'])?.number,
    82,
  );
  assert.equal(parseBackrestError(['WARN: nothing', '']), undefined);
});

const REPORTS: [string, string[], RegExp][] = [
  [
    'a repository that has lost one of its two files',
    [
      'ERROR: [103]: unable to find a valid repository:',
      "       repo1: [FileMissingError] unable to load info file '/r/archive.info' or '/r/archive.info.copy':",
      "              FileMissingError: unable to open missing file '/r/archive.info' for read",
      '              HINT: is archive_command configured correctly in postgresql.conf?',
    ],
    /^\[103\]: the repository has lost \/r\/archive\.info and its copy \(HINT: put archive\.info and backup\.info[^)]*\)$/,
  ],
  [
    'the other one',
    [
      'ERROR: [055]: archive.info exists but backup.info is missing on repo1',
      '       HINT: this may be a symptom of repository corruption!',
    ],
    /^\[055\]: the repository has lost backup\.info and its copy \(HINT: put [^)]*\)$/,
  ],
  [
    'both',
    ['ERROR: [040]: backup directory and/or archive directory not empty'],
    /^\[040\]: the repository has lost archive\.info and backup\.info \(HINT: put /,
  ],
  [
    'a passphrase that is not that of the repository',
    [
      "ERROR: [029]: unable to load info file '/r/backup.info' or '/r/backup.info.copy':",
      '       FormatError: key/value found outside of section at line 1: \u0001\ufffd\ufffdA',
      '       FormatError: key/value found outside of section at line 1: \u0001\ufffd\ufffdA',
      '       HINT: has a stanza-create been performed?',
    ],
    /^\[029\]: \/r\/backup\.info cannot be read: it was written with another passphrase, or is damaged \(HINT: put the passphrase back [^)]*\)$/,
  ],
  [
    'S3, a key that is wrong',
    [
      'ERROR: [039]: HTTP request failed with 403 (Forbidden):',
      '       *** Path/Query ***:',
      '       GET /backups/?delimiter=%2F&list-type=2&prefix=x%2F',
      '       *** Request Headers ***:',
      '       authorization: <redacted>',
      '       *** Response Content ***:',
      '       <?xml version="1.0" encoding="UTF-8"?>',
      '       <Error><Code>SignatureDoesNotMatch</Code><Message>Check your key.</Message></Error>',
    ],
    /^\[039\]: the store answers 403 Forbidden to GET \/backups\/: SignatureDoesNotMatch: Check your key\. \(HINT: .*secret/,
  ],
  [
    'Azure, no such container; its message has more lines',
    [
      'ERROR: [039]: HTTP request failed with 404 (The specified container does not exist.):',
      '       *** Path/Query ***:',
      '       PUT /account/nothere/pgherd/x',
      '       *** Response Content ***:',
      '       <Error>',
      '       <Code>ContainerNotFound</Code>',
      '       <Message>The specified container does not exist.',
      '       RequestId:1',
      '       Time:2</Message></Error>',
    ],
    /ContainerNotFound: The specified container does not exist\. \(HINT: the bucket or container has to exist/,
  ],
  [
    'a request that is answered without words',
    [
      'ERROR: [039]: HTTP request failed with 403 (Forbidden):',
      '       *** Path/Query ***:',
      '       HEAD /backups/x',
    ],
    /^\[039\]: the store answers 403 Forbidden to HEAD \/backups\/x \(HINT: the store refuses access/,
  ],
  [
    'an authority that is not known',
    [
      "ERROR: [095]: unable to verify certificate presented by 'store:9000': [20] unable to get local issuer certificate",
    ],
    /^\[095\]: unable to verify .* \(HINT: name the authority/,
  ],
];
for (const [what, lines, expected] of REPORTS)
  test(`what a store says: ${what}`, () => assert.match(parseBackrestError(lines)?.text ?? '', expected));

const INFO = JSON.stringify([
  {
    archive: [
      {
        database: { id: 1, 'repo-key': 2 },
        id: '15-1',
        max: '000000010000000000000005',
        min: '000000010000000000000001',
      },
      { database: { id: 1, 'repo-key': 1 }, id: '15-1', max: null, min: null },
    ],
    backup: [
      {
        annotation: { 'pgherd-id': 'abc' },
        archive: { start: '000000010000000000000004', stop: '000000010000000000000005' },
        backrest: { format: 5, version: '2.45' },
        database: { id: 1, 'repo-key': 2 },
        error: false,
        info: { delta: 10, repository: { delta: 3, size: 4 }, size: 20 },
        label: '20261128-103243F',
        lsn: { start: '0/4000028', stop: '0/5000050' },
        prior: null,
        reference: null,
        timestamp: { start: 1795861963, stop: 1795861966 },
        type: 'full',
      },
      {
        archive: { start: null, stop: null },
        database: { id: 1, 'repo-key': 2 },
        info: { delta: 1, repository: { delta: 1 }, size: 20 },
        label: '20261128-103243F_20261128-104243I',
        prior: '20261128-103243F',
        reference: ['20261128-103243F'],
        timestamp: { start: 1795861970, stop: 1795861971 },
        type: 'incr',
      },
    ],
    cipher: 'mixed',
    db: [{ id: 1, 'repo-key': 2, 'system-id': 0, version: '15' }],
    name: 'demo-1',
    repo: [
      { cipher: 'none', key: 1, status: { code: 99, message: '[HostConnectError] unable to connect' } },
      { cipher: 'aes-256-cbc', key: 2, status: { code: 0, message: 'ok' } },
    ],
    status: {
      code: 4,
      lock: { backup: { held: true, size: 100, 'size-cplt': 40 } },
      message: 'different across repos',
    },
  },
]).replace('"system-id":0', '"system-id":7713168076121775391');

test('what info says of a file that cannot be read, byte for byte', () => {
  const raw =
    "unable to load info file '/r/backup.info' or '/r/backup.info.copy':\u0001 key/value found outside of section at line 1: Salted__\u0007";
  const text = INFO.replace('[HostConnectError] unable to connect', raw);
  assert.ok(text.includes('\u0001'));
  const [first] = parseBackrestInfo(text)[0]!.repositories;
  assert.match(
    first!.status.message,
    /^\/r\/backup.info cannot be read: it was written with another passphrase/,
  );
});

test('what info says', () => {
  const [stanza] = parseBackrestInfo(INFO);
  assert.equal(stanza?.databases[0]?.systemID, '7713168076121775391');
  assert.deepEqual(stanza?.progress, { done: 40, total: 100 });
  assert.equal(stanza?.running, true);
  assert.deepEqual(stanza?.repositories[0], {
    number: 1,
    encrypted: false,
    status: { code: 99, message: '[HostConnectError] unable to connect' },
  });
  const [full, incr] = stanza?.backups ?? [];
  assert.equal(full?.startedAt, 1795861963000);
  assert.deepEqual(full?.sizes, { database: 20, copied: 10, repository: 4, added: 3 });
  assert.deepEqual(full?.annotations, { 'pgherd-id': 'abc' });
  assert.equal(incr?.wal, undefined);
  assert.deepEqual(incr?.references, ['20261128-103243F']);
  assert.deepEqual(dependents(stanza!.backups, full!.label, 2), [incr?.label]);
  assert.deepEqual(dependents(stanza!.backups, full!.label, 1), []);
  assert.throws(() => parseBackrestInfo('oops'), /reading what pgbackrest info said/);
});
