/** The kind ScheduledBackup: backups of a cluster, again and again. */
import type { Static } from 'typebox';
import { backupFields } from '../backup/backup.ts';
import { kindObject } from '../object.ts';
import { bool, object, oneOf, openWord, optional, text } from '../schema.ts';
import { SCHEDULE_PATTERN } from './schedule-pattern.ts';

const time = (description: string) => text(description, { format: 'date-time' });

const ScheduledBackupSpecSchema = object('Which backups are to be made, and when.', {
  ...backupFields,
  schedule: text(
    'When, as in cron: minute, hour, day of the month, month, day of the week; or six fields, with the second first. For example 0 3 * * * (each day at three).',
    {
      maxLength: 255,
      rules: [
        {
          rule: `self.matches('${SCHEDULE_PATTERN.replaceAll('\\', '\\\\')}')`,
          message:
            'must be a time as in cron: minute (0-59), hour (0-23), day of the month (1-31), month (1-12 or JAN-DEC), day of the week (0-7 or SUN-SAT); six fields begin with the second (0-59); or @daily and the like',
        },
      ],
    },
  ),
  timeZone: optional(
    text('Time zone of the schedule, for example Europe/Berlin. Default: UTC.', {
      minLength: 1,
      maxLength: 64,
    }),
  ),
  immediate: optional(bool('Whether a first backup is made at once. Default: false.')),
  verify: optional(
    bool(
      'Whether each backup is proven when it has ended: an Operation VerifyBackup restores it into an instance of its own, looks at it and throws it away. Takes the room of one instance meanwhile. Default: false.',
    ),
  ),
  suspend: optional(bool('Whether no backups are made for now. Default: false.')),
  backupOwnerReference: optional(
    oneOf(
      'With what its Backup objects are deleted: none (they stay), self (with this schedule) or cluster. Backups in repositories stay in any case. Default: none.',
      ['none', 'self', 'cluster'],
    ),
  ),
});

const ScheduledBackupStatusSchema = object('What came of it; written by the operator.', {
  lastScheduleTime: optional(time('When the last backup was due.')),
  nextScheduleTime: optional(time('When the next one is due.')),
  lastBackup: optional(text('Name of the last Backup it made.')),
  lastVerification: optional(
    object('How the last backup was proven, where spec.verify asks for it.', {
      backup: text('Name of the Backup.'),
      label: optional(text("pgBackRest's name of the backup.")),
      operation: optional(text('Name of the Operation that looks at it.')),
      phase: openWord<'Waiting' | 'Running' | 'Succeeded' | 'Failed' | 'Skipped'>(
        'Waiting (for the backup), Running, Succeeded, Failed or Skipped (there was no backup to prove).',
      ),
      message: optional(text('What was found.')),
      finishedAt: optional(time('When it ended.')),
    }),
  ),
  message: optional(text('Why no backups are made, if there is a reason.')),
});

export const ScheduledBackupSchema = kindObject(
  'Backups of a cluster by a schedule. A time that was missed, since no operator ran, is made up for once and not more often.',
  { spec: ScheduledBackupSpecSchema, status: optional(ScheduledBackupStatusSchema) },
  [
    {
      rule: 'self.metadata.name.size() <= 200',
      message: 'metadata.name must be at most 200 characters: the names of its backups are made from it',
    },
  ],
);

export type ScheduledBackup = Static<typeof ScheduledBackupSchema>;
export type ScheduledBackupSpec = Static<typeof ScheduledBackupSpecSchema>;
export type ScheduledBackupStatus = Static<typeof ScheduledBackupStatusSchema>;
