/** Parameters of the Operations that restore: Restore, Clone, VerifyBackup. */
import { MAX_CLUSTER_NAME_LENGTH, NAME_PATTERN, NAME_SHAPE } from '../names.ts';
import { backupLabel, recoveryTarget } from '../recovery/fields.ts';
import { bool, list, matching, object, optional, text } from '../schema.ts';

const repository = optional(
  text('Name of the repository to restore from. Default: the first one of the Cluster.', {
    minLength: 1,
    maxLength: 20,
  }),
);

export const restore = object(
  'Parameters of a Restore: the cluster goes back to an earlier state, in place. Name, secrets and services stay; what was committed after the target is gone.',
  {
    recoveryTarget: optional(recoveryTarget),
    repository,
    keepOldVolumes: optional(
      bool(
        'Whether the volumes from before are kept after a success, no longer part of the cluster. Default: false.',
      ),
    ),
  },
);

export const clone = object(
  'Parameters of a Clone: a new cluster with the data and the topology of this one, and passwords and certificates of its own. It has no spec.backup: give it a destination of its own.',
  {
    name: text('Name of the new cluster.', {
      maxLength: MAX_CLUSTER_NAME_LENGTH,
      rules: [matching(NAME_PATTERN, NAME_SHAPE)],
    }),
    live: optional(
      bool(
        'Whether it is copied from a running replica instead of a repository; it then has what was committed when the copy ended. Default: true for a cluster without spec.backup, else false.',
      ),
    ),
    recoveryTarget: optional(recoveryTarget),
    repository,
  },
  {
    rules: [
      {
        rule: '!has(self.live) || !self.live || (!has(self.recoveryTarget) && !has(self.repository))',
        message: 'a live copy has no recoveryTarget and no repository: remove them, or set live to false',
        fieldPath: '.live',
      },
    ],
  },
);

export const verifyBackup = object(
  'Parameters of a VerifyBackup: a backup is restored into an instance of its own, checked, and thrown away.',
  {
    backup: optional(backupLabel('Label of the backup. Default: the newest one.')),
    repository,
    tables: optional(
      list(
        'Tables whose rows are counted, as DATABASE.SCHEMA.TABLE or SCHEMA.TABLE or TABLE. Default database: the application database; default schema: public.',
        text('A table.', { minLength: 1, maxLength: 200 }),
        { maxItems: 32 },
      ),
    ),
  },
);
