/** Repositories that are refused, for the table of all cases: one for each rule. */
import { cluster } from '../testing.ts';

const key = (name: string) => ({ name: 'store', key: name });
const volume = { name: 'local', volume: { size: '5Gi' } };
const azure = { account: 'a', container: 'c' };
const repositories = (...all: object[]) => cluster({ backup: { repositories: all } } as never);
const first = 'spec.backup.repositories[0]';

export const repositoryCases = [
  {
    what: 'two repositories of one name',
    object: repositories(volume, volume),
    field: 'spec.backup.repositories',
    says: /same name/,
  },
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
