/** Ways to begin that are refused, for the table of all cases: one for each rule. */
import { cluster } from '../testing.ts';
import { repositoryCases } from './backup-cases.ts';

const bootstrap = (fields: object) => cluster({ bootstrap: fields } as never);
const recovery = (fields: object) => bootstrap({ recovery: fields });
const place = 'spec.bootstrap.recovery.source.repository';

/** The rules of a repository hold at the source of a recovery as well. */
const sources = repositoryCases
  .filter(({ field, ...rest }) => field.startsWith('spec.backup.repositories[0]') && !('old' in rest))
  .map(({ what, object, field, says }) => ({
    what: `as a source: ${what}`,
    object: recovery({ source: { repository: object.spec.backup?.repositories[0] } }),
    field: field.replace('spec.backup.repositories[0]', place),
    says,
  }));

export const recoveryCases = [
  ...sources,
  {
    what: 'two ways to begin',
    object: bootstrap({ initdb: {}, recovery: {} }),
    field: 'spec.bootstrap',
    says: /at most one of initdb, recovery, pg_basebackup/,
  },
  {
    what: 'a Backup and a source',
    object: recovery({ backup: { name: 'b' }, source: {} }),
    field: 'spec.bootstrap.recovery.source',
    says: /either backup or source/,
  },
  {
    what: 'a Backup and the label of another',
    object: recovery({ backup: { name: 'b' }, recoveryTarget: { backupID: '20260102-030405F' } }),
    field: 'spec.bootstrap.recovery.recoveryTarget.backupID',
    says: /remove backupID, or give source/,
  },
  {
    what: 'a repository and its name',
    object: recovery({ source: { repositoryName: 'x', repository: { name: 'x', volume: { size: '1Gi' } } } }),
    field: 'spec.bootstrap.recovery.source.repositoryName',
    says: /either repository or repositoryName/,
  },
  {
    what: 'two targets',
    object: recovery({ recoveryTarget: { targetXID: '1', targetLSN: '0/1' } }),
    field: 'spec.bootstrap.recovery.recoveryTarget',
    says: /at most one of targetTime/,
  },
  {
    what: 'a time that is none',
    object: recovery({ recoveryTarget: { targetTime: 'yesterday' } }),
    field: 'spec.bootstrap.recovery.recoveryTarget.targetTime',
    says: /a time that exists, such as/,
  },
  {
    what: 'a month and an hour that are none',
    object: recovery({ recoveryTarget: { targetTime: '2026-13-28 25:00' } }),
    field: 'spec.bootstrap.recovery.recoveryTarget.targetTime',
    says: /a time that exists, such as/,
  },
  ...(
    [
      ['targetLSN', '0/xyz', /an LSN such as 0\/3018240/],
      ['targetXID', 'seven', /number of a transaction such as/],
      ['targetName', 'a\nb', /name of one line/],
      ['targetTLI', 'newest', /latest, current, or the number of a timeline/],
      ['backupID', 'monday', /label of a backup such as 20261128-103021F/],
    ] as const
  ).map(([target, value, says]) => ({
    what: `${target} ${value}`,
    object: recovery({ recoveryTarget: { [target]: value } }),
    field: `spec.bootstrap.recovery.recoveryTarget.${target}`,
    says,
  })),
  {
    what: 'just before nothing',
    object: recovery({ recoveryTarget: { exclusive: true } }),
    field: 'spec.bootstrap.recovery.recoveryTarget.exclusive',
    says: /exclusive needs/,
  },
  {
    what: 'a recovery that changes',
    object: recovery({ recoveryTarget: { targetXID: '1' } }),
    old: recovery({}),
    field: 'spec.bootstrap.recovery',
    says: /used once/,
  },
  {
    what: 'a copy of another',
    object: bootstrap({ pg_basebackup: { source: { cluster: 'b' } } }),
    old: bootstrap({ pg_basebackup: { source: { cluster: 'a' } } }),
    field: 'spec.bootstrap.pg_basebackup',
    says: /used once/,
  },
  {
    what: 'a database of PostgreSQL',
    object: recovery({ database: 'postgres' }),
    field: 'spec.bootstrap.recovery.database',
    says: /another name/,
  },
  {
    what: 'a role of PostgreSQL',
    object: recovery({ owner: 'pg_x' }),
    field: 'spec.bootstrap.recovery.owner',
    says: /another name/,
  },
  {
    what: 'a database of PostgreSQL for a copy',
    object: bootstrap({ pg_basebackup: { source: { cluster: 'a' }, database: 'template1' } }),
    field: 'spec.bootstrap.pg_basebackup.database',
    says: /another name/,
  },
  {
    what: 'a role of PostgreSQL for a copy',
    object: bootstrap({ pg_basebackup: { source: { cluster: 'a' }, owner: 'postgres' } }),
    field: 'spec.bootstrap.pg_basebackup.owner',
    says: /another name/,
  },
];
