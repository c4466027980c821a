/** The kind Backup: one backup of a cluster. */
import type { Static } from 'typebox';
import { kindObject } from '../object.ts';
import { integer, object, oneOf, openWord, optional, text } from '../schema.ts';

export type BackupPhase = 'Pending' | 'Running' | 'Completed' | 'Failed';
export type BackupType = 'full' | 'differential' | 'incremental';

const time = (description: string) => text(description, { format: 'date-time' });
const size = (description: string) => integer(description, { format: 'int64' });

/** What a backup and a schedule of backups have in common. */
export const backupFields = {
  cluster: object('The Cluster, of the same namespace.', {
    name: text('Name of the Cluster.', { minLength: 1, maxLength: 253 }),
  }),
  type: optional(
    oneOf(
      'full: everything; differential: what changed since the last full one; incremental: what changed since the last one of any type. Without an earlier one it becomes a full one. Default: incremental.',
      ['full', 'differential', 'incremental'],
    ),
  ),
  repository: optional(
    text('Name of the repository it goes to. Default: the first one of the Cluster.', {
      minLength: 1,
      maxLength: 20,
    }),
  ),
  target: optional(
    oneOf("Which instance is copied. Default: as the Cluster's spec.backup.target says.", [
      'prefer-standby',
      'primary',
    ]),
  ),
};

const BackupSpecSchema = object('What is to be backed up. It never changes.', backupFields, {
  rules: [
    {
      rule: 'self == oldSelf',
      message: 'spec cannot be changed: create another Backup',
      reason: 'FieldValueForbidden',
    },
  ],
});

const BackupStatusSchema = object('What came of it; written by the operator.', {
  phase: optional(
    openWord<BackupPhase>('Pending, Running, Completed or Failed; it always ends in one of the last two.'),
  ),
  message: optional(text('What it waits for, or how it ended, for people.')),
  error: optional(text("Why it failed, in pgBackRest's own words where they are.")),
  startedAt: optional(time('When it began.')),
  stoppedAt: optional(time('When it ended.')),
  label: optional(text("pgBackRest's name of it, for example 20260102-030405F.")),
  type: optional(openWord<BackupType>('What it became: a full one where there was none before.')),
  reference: optional(text('Label of the backup that it rests on.')),
  repository: optional(text('Name of the repository it is in.')),
  stanza: optional(text('Name of the stanza in the repository.')),
  instance: optional(text('Instance that was copied.')),
  primary: optional(text('Instance that was the primary.')),
  executor: optional(text('Where it ran: repository, or the name of an instance.')),
  process: optional(text('The process that ran it, since a later one knows nothing of it.')),
  beginWal: optional(text('First WAL file it needs.')),
  endWal: optional(text('Last WAL file it needs.')),
  beginLSN: optional(text('LSN of its beginning.')),
  endLSN: optional(text('LSN of its end: the earliest point that it can be restored to.')),
  databaseSize: optional(size('Bytes of the database.')),
  copiedSize: optional(size('Bytes that were copied.')),
  repositorySize: optional(size('Bytes that it takes in the repository, with all it rests on.')),
  repositoryDelta: optional(size('Bytes that it added to the repository.')),
  progress: optional(
    object('How far it is.', {
      done: size('Bytes that were copied.'),
      total: size('Bytes to copy.'),
    }),
  ),
});

export const BackupSchema = kindObject(
  'One backup of a cluster. Deleting the object leaves the backup in its repository: pgherd delete backup removes it there.',
  { spec: BackupSpecSchema, status: optional(BackupStatusSchema) },
  [],
);

export type Backup = Static<typeof BackupSchema>;
export type BackupSpec = Static<typeof BackupSpecSchema>;
export type BackupStatus = Static<typeof BackupStatusSchema>;

/** True when nothing more will happen to it. */
export function isBackupOver(backup: { status?: BackupStatus }): boolean {
  const { phase } = backup.status ?? {};
  return phase === 'Completed' || phase === 'Failed';
}
