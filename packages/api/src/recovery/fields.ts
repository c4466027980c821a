/** Where a recovery ends and what it is made from: for `bootstrap.recovery` and for Operations. */
import type { Static } from 'typebox';
import { bool, matching, object, optional, type Rule, text } from '../schema.ts';

const ONE_TARGET = ['targetTime', 'targetLSN', 'targetXID', 'targetName', 'targetImmediate'];

const targetRules: Rule[] = [
  {
    rule: `[${ONE_TARGET.map((field) => `has(self.${field})`).join(', ')}].filter(given, given).size() <= 1`,
    message: `give at most one of ${ONE_TARGET.join(', ')}`,
    reason: 'FieldValueInvalid',
  },
  {
    rule: '!has(self.exclusive) || has(self.targetTime) || has(self.targetLSN) || has(self.targetXID)',
    message: 'exclusive needs targetTime, targetLSN or targetXID',
    fieldPath: '.exclusive',
  },
];

/** The form and the range of each part; that a month has this day is seen when the time is read. */
const TIME_PATTERN = [
  '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]{1,9})?)?',
  '( ?(Z|z|UTC|GMT|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?|[A-Z][A-Za-z_]+(/[A-Za-z0-9_+-]+)+))?$',
].join('');

/** The label that pgBackRest gives a backup. */
export const backupLabel = (description: string) =>
  text(description, {
    maxLength: 64,
    rules: [
      matching(
        '^[0-9]{8}-[0-9]{6}F(_[0-9]{8}-[0-9]{6}[DI])?$',
        'must be the label of a backup such as 20261128-103021F, as pgherd show backup shows it',
      ),
    ],
  });

/** Where recovery ends; without any target it goes on to the end of the archive. */
export const recoveryTarget = object(
  'Where recovery ends. Nothing given: at the end of the archive. A target that cannot be reached is refused, and what can be reached is named.',
  {
    targetTime: optional(
      text(
        'The last moment whose commits are kept, for example 2026-11-28T10:30:00Z 2026-11-28 12:30:00+02 or 2026-11-28 11:30:00 Europe/Berlin. Without a time zone it is UTC.',
        {
          maxLength: 64,
          rules: [
            matching(
              TIME_PATTERN,
              'must be a time that exists, such as 2026-11-28T10:30:00Z or 2026-11-28 12:30:00+02; without a time zone it is UTC',
            ),
          ],
        },
      ),
    ),
    targetLSN: optional(
      text('The LSN up to which WAL is replayed, for example 0/3018240.', {
        maxLength: 17,
        rules: [
          matching(
            '^[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}$',
            'must be an LSN such as 0/3018240, as pg_current_wal_lsn() shows it',
          ),
        ],
      }),
    ),
    targetXID: optional(
      text('The transaction with whose commit recovery ends.', {
        maxLength: 20,
        rules: [
          matching(
            '^[0-9]+$',
            'must be the number of a transaction such as 740, as pg_current_xact_id() shows it',
          ),
        ],
      }),
    ),
    targetName: optional(
      text('The restore point, made with pg_create_restore_point(), at which recovery ends.', {
        minLength: 1,
        maxLength: 63,
        rules: [matching('^[^\\r\\n]+$', 'must be a name of one line')],
      }),
    ),
    targetImmediate: optional(bool('End as soon as the backup is consistent. Default: false.')),
    targetTLI: optional(
      text(
        "The timeline to follow: latest, current (the backup's), or a number. Default: the one the cluster lived on at the target, so that a point before an earlier restore is found again.",
        {
          maxLength: 12,
          rules: [
            matching(
              '^(latest|current|[0-9]+|0x[0-9A-Fa-f]+)$',
              'must be latest, current, or the number of a timeline such as 3',
            ),
          ],
        },
      ),
    ),
    exclusive: optional(bool('End just before the target instead of just after it. Default: false.')),
    backupID: optional(
      backupLabel(
        'Label of the backup to begin with, for example 20261128-103021F. Default: the newest one that ends before the target.',
      ),
    ),
  },
  { rules: targetRules },
);

export type RecoveryTargetSpec = Static<typeof recoveryTarget>;
