/** Repositories that are refused, for the table of all cases: one for each rule. */
import { cluster } from '../testing.ts';

const key = (name: string) => ({ name: 'store', key: name });
const volume = { name: 'local', volume: { size: '5Gi' } };
const azure = { account: 'a', container: 'c' };
const repositories = (...all: object[]) => cluster({ backup: { repositories: all } } as never);
const first = 'spec.backup.repositories[0]';

const STORES = {
  s3: { bucket: 'b', endpoint: 's3.example.org', region: 'r' },
  azure: { ...azure, credentials: { key: key('k') } },
  gcs: { bucket: 'b' },
};
const misspelt = [
  ['s3', 'bucket', 'a/b', /without \//],
  ['s3', 'endpoint', 'http://x', /never http/],
  ['s3', 'prefix', 'backups', /begins with \//],
  ['azure', 'account', '', /must be a name/],
  ['azure', 'container', 'a b', /without spaces/],
  ['azure', 'endpoint', 'x/y', /without a path/],
  ['azure', 'prefix', 'backups', /begins with \//],
  ['gcs', 'bucket', '', /must be a name/],
  ['gcs', 'endpoint', 'http://x', /never http/],
  ['gcs', 'prefix', 'backups', /begins with \//],
] as const;

export const repositoryCases = [
  {
    what: 'two repositories of one name',
    object: repositories(volume, volume),
    field: 'spec.backup.repositories',
    says: /same name/,
  },
  {
    what: 'a name in capitals',
    object: repositories({ ...volume, name: 'Local' }),
    field: `${first}.name`,
    says: /begin with a letter.*lower-case/,
  },
  ...misspelt.map(([store, field, value, says]) => ({
    what: `${store}.${field} ${value}`,
    object: repositories({ name: 'x', [store]: { ...STORES[store], [field]: value } }),
    field: `${first}.${store}.${field}`,
    says,
  })),
  {
    what: 'a repository that is nowhere',
    object: repositories({ name: 'x' }),
    field: first,
    says: /exactly one place: volume, s3, azure or gcs/,
  },
  {
    what: 'a repository at two places',
    object: repositories({ ...volume, gcs: { bucket: 'b' } }),
    field: first,
    says: /exactly one place/,
  },
  {
    what: 'a repository that moves',
    object: repositories({ name: 'local', gcs: { bucket: 'b' } }),
    old: repositories(volume),
    field: first,
    says: /place of another kind/,
  },
  {
    what: 'encryption later',
    object: repositories({ ...volume, encryption: { secret: key('p') } }),
    old: repositories(volume),
    field: `${first}.encryption`,
    says: /neither added nor removed/,
  },
  {
    what: 'another class for a repository',
    object: repositories({ ...volume, volume: { size: '5Gi', storageClass: 'b' } }),
    old: repositories(volume),
    field: `${first}.volume.storageClass`,
    says: /cannot be changed/,
  },
  {
    what: 'a repository of no size',
    object: repositories({ ...volume, volume: { size: 'big' } }),
    field: `${first}.volume.size`,
    says: /amount of bytes/,
  },
  {
    what: 'a repository that shrinks',
    object: repositories({ ...volume, volume: { size: '1Gi' } }),
    old: repositories(volume),
    field: `${first}.volume.size`,
    says: /cannot shrink/,
  },
  {
    what: 'both keys of azure',
    object: repositories({
      name: 'x',
      azure: { ...azure, credentials: { key: key('a'), sasToken: key('b') } },
    }),
    field: `${first}.azure.credentials`,
    says: /either key or sasToken/,
  },
  {
    what: 'both ways to count full backups',
    object: repositories({ ...volume, retention: { full: { count: 1, days: 2 } } }),
    field: `${first}.retention.full`,
    says: /either count or days/,
  },
];
