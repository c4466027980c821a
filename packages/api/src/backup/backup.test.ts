import assert from 'node:assert/strict';
import { test } from 'node:test';
import { effective } from '../cluster/effective.ts';
import { repositoryNumbers, repositorySecrets } from '../cluster/effective-backup.ts';
import { BACKUP_DEFINITION, SCHEDULED_BACKUP_DEFINITION } from '../kinds.ts';
import { cluster } from '../testing.ts';
import { validateCluster, validateObject } from '../validate.ts';

type Repositories = NonNullable<ReturnType<typeof cluster>['spec']['backup']>['repositories'];

const key = (name: string) => ({ name: 'store', key: name });
const volume = { name: 'local', volume: { size: '5Gi' } };
const s3 = {
  name: 'far',
  s3: {
    bucket: 'b',
    endpoint: 'https://s3.example.com:9000/',
    region: 'us-east-1',
    credentials: { accessKeyId: key('id'), secretAccessKey: key('secret') },
    ca: key('ca.crt'),
  },
};
const withRepositories = (...repositories: Repositories) => cluster({ backup: { repositories } });
const problemsOf = (...repositories: unknown[]) =>
  validateCluster(withRepositories(...(repositories as Repositories)));

for (const { what, object, says } of [
  { what: 'a name that no volume can bear', object: [{ ...volume, name: 'A_b' }], says: /lower-case/ },
  { what: 'none at all', object: [], says: /at least 1|fewer|items/ },
  {
    what: 'days of differential backups',
    object: [{ ...volume, retention: { differential: { days: 2 } } }],
    says: /no field|missing/,
  },
  { what: 'no TLS', object: [{ ...s3, s3: { ...s3.s3, endpoint: 'http://x' } }], says: /never http/ },
]) {
  test(`a repository is refused: ${what}`, () => {
    const problems = problemsOf(...object);
    assert.ok(
      problems.some(({ message }) => says.test(message)),
      JSON.stringify(problems),
    );
  });
}

test('a repository may grow, and others may come', () => {
  const before = withRepositories(volume);
  assert.deepEqual(validateCluster(withRepositories({ ...volume, volume: { size: '9Gi' } }), before), []);
  assert.deepEqual(validateCluster(withRepositories({ ...s3, name: 'other' }, volume), before), []);
});

test('what is left out is filled in', () => {
  const { backup } = effective(withRepositories(volume, s3));
  assert.equal(backup?.target, 'prefer-standby');
  assert.deepEqual(backup?.compression, { type: 'zst' });
  assert.equal(backup?.parallelism, 2);
  assert.deepEqual(backup?.repositories[1]?.store, {
    kind: 's3',
    bucket: 'b',
    region: 'us-east-1',
    endpoint: 's3.example.com',
    port: 9000,
    prefix: '/pgherd/default/demo',
    uriStyle: 'host',
    credentials: s3.s3.credentials,
    ca: key('ca.crt'),
  });
  assert.deepEqual(
    repositorySecrets(backup!.repositories[1]!).map(({ key: name }) => name),
    ['ca.crt', 'id', 'secret'],
  );
});

for (const [what, names, known, expected] of [
  ['new ones are counted from 1', ['a', 'b'], [], { a: 1, b: 2 }],
  [
    'one that was removed leaves the others alone',
    ['b', 'c'],
    [
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ],
    { b: 2, c: 3 },
  ],
  [
    'a new one takes the lowest free number',
    ['d', 'b', 'c'],
    [
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ],
    { d: 1, b: 2, c: 3 },
  ],
] as const) {
  test(`numbers of repositories: ${what}`, () => {
    const numbers = repositoryNumbers(
      names,
      known.map(([name, number]) => ({ name, number })),
    );
    assert.deepEqual(Object.fromEntries(numbers), expected);
  });
}

test('a Backup never changes', () => {
  const backup = (type: string) => ({
    apiVersion: 'pgherd.io/v1',
    kind: 'Backup',
    metadata: { name: 'b' },
    spec: { cluster: { name: 'demo' }, type },
  });
  assert.deepEqual(validateObject(BACKUP_DEFINITION, backup('full')), []);
  assert.match(
    validateObject(BACKUP_DEFINITION, backup('full'), backup('incremental'))[0]?.message ?? '',
    /create another Backup/,
  );
  assert.equal(validateObject(BACKUP_DEFINITION, backup('whole')).length, 1);
});

const SCHEDULES = [
  '59 23 31 12 7',
  '00 03 L * *',
  '0 3 15W * ?',
  '0 3 * jan-Mar fri#2',
  '0-30/10,45 * * * *',
];
const NO_SCHEDULES = [
  '99 3 * * *',
  '60 3 * * *',
  '0 24 * * *',
  '0 3 32 * *',
  '0 3 0 * *',
  '0 3 * 13 *',
  '0 3 * * 8',
  '60 0 3 * * *',
  '*/0 * * * *',
  '0 3 * * FUN',
  '-1 3 * * *',
  '0 3 * * 1-',
  'a b c d e',
];

test('schedules', () => {
  const scheduled = (schedule: string) => ({
    apiVersion: 'pgherd.io/v1',
    kind: 'ScheduledBackup',
    metadata: { name: 's' },
    spec: { cluster: { name: 'demo' }, schedule },
  });
  for (const good of ['0 3 * * *', '0 0 3 * * *', '@daily', '*/5 1-4 * * MON,TUE', ...SCHEDULES])
    assert.deepEqual(validateObject(SCHEDULED_BACKUP_DEFINITION, scheduled(good)), [], good);
  for (const bad of ['', 'daily', '* * * *', '1 2 3 4 5 6 7', '@never', ...NO_SCHEDULES])
    assert.match(
      validateObject(SCHEDULED_BACKUP_DEFINITION, scheduled(bad))[0]?.message ?? '',
      /a time as in cron/,
      bad,
    );
});
