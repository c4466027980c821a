/** `spec` of an Operation: what is to be done to a cluster, once. */
import type { Static } from 'typebox';
import { MAX_CLUSTER_NAME_LENGTH } from '../names.ts';
import { bool, object, oneOf, optional, type Rule, seconds, text } from '../schema.ts';
import { clone, restore, verifyBackup } from './recovery-fields.ts';

/** Each type, and the field that holds its parameters. */
export const OPERATION_MEMBERS = {
  Switchover: 'switchover',
  Restart: 'restart',
  Reload: 'reload',
  Destroy: 'destroy',
  Restore: 'restore',
  Clone: 'clone',
  VerifyBackup: 'verifyBackup',
} as const;

export type OperationType = keyof typeof OPERATION_MEMBERS;

export const OPERATION_TYPES = Object.keys(OPERATION_MEMBERS) as OperationType[];

/** Types that mean nothing without their parameters. */
const NEEDS_MEMBER: OperationType[] = ['Destroy', 'Clone'];

const DAY = 24 * 3600;

const instance = (description: string) => text(description, { minLength: 1, maxLength: 63 });

const switchover = object('Parameters of a Switchover: another instance becomes the primary.', {
  target: optional(
    instance('The instance that is to be the primary. Default: the replica that is least behind.'),
  ),
  force: optional(
    bool(
      'Whether to try although the target is not ready or too far behind. A fenced or unknown target is refused all the same. Default: false.',
    ),
  ),
  acceptLoss: optional(
    bool(
      'Whether the target may become the primary without every acknowledged commit, when there is no primary and the instances cannot elect one safely. Needs target. Default: false.',
    ),
  ),
});

const restart = object('Parameters of a Restart: PostgreSQL is stopped and started again.', {
  instance: optional(
    instance(
      'The one instance to restart. Default: all, replicas first, the primary last and by a switchover.',
    ),
  ),
});

const reload = object(
  'Parameters of a Reload: every instance reads its settings and certificates again.',
  {},
);

const destroy = object('Parameters of a Destroy: an instance is removed, and a new one takes its place.', {
  instance: instance('The instance to remove. Never the primary: switch over first.'),
  keepVolumes: optional(bool('Whether its volumes are kept, no longer part of the cluster. Default: false.')),
});

const memberRules: Rule[] = OPERATION_TYPES.map((type) => {
  const member = OPERATION_MEMBERS[type];
  return {
    rule: `!has(self.${member}) || self.type == '${type}'`,
    message: `${member} belongs to type ${type}: remove it, or set type to ${type}`,
    fieldPath: `.${member}`,
    reason: 'FieldValueForbidden',
  };
});

const neededRules: Rule[] = NEEDS_MEMBER.map((type) => ({
  rule: `self.type != '${type}' || has(self.${OPERATION_MEMBERS[type]})`,
  message: `${OPERATION_MEMBERS[type]} is missing: type ${type} needs it`,
  reason: 'FieldValueRequired',
}));

export const OperationSpecSchema = object(
  'What is to be done. It never changes: for another act, create another Operation.',
  {
    cluster: text('The Cluster, of the same namespace, to which it is to be done.', {
      minLength: 1,
      maxLength: MAX_CLUSTER_NAME_LENGTH,
    }),
    type: oneOf('What is to be done. Its parameters stand in the field of the same name.', OPERATION_TYPES),
    switchover: optional(switchover),
    restart: optional(restart),
    reload: optional(reload),
    destroy: optional(destroy),
    restore: optional(restore),
    clone: optional(clone),
    verifyBackup: optional(verifyBackup),
    deadlineSeconds: optional(
      seconds(
        'How long, in seconds, it may take from its start. Past that it ends as Failed and says what it waited for. Default: what fits its type.',
        1,
        30 * DAY,
      ),
    ),
    ttlSecondsAfterFinished: optional(
      seconds('How long, in seconds, it is kept after its end. Default: 604800, a week.', 0, 365 * DAY),
    ),
  },
  {
    rules: [
      {
        rule: 'self == oldSelf',
        message: 'spec cannot be changed: delete this Operation, or create another one',
      },
      ...memberRules,
      ...neededRules,
      {
        rule: '!has(self.switchover) || !has(self.switchover.acceptLoss) || !self.switchover.acceptLoss || has(self.switchover.target)',
        message:
          'switchover.target is missing: acceptLoss needs to be told which instance is to be the primary',
        reason: 'FieldValueRequired',
      },
    ],
  },
);

export type OperationSpec = Static<typeof OperationSpecSchema>;
