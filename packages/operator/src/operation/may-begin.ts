/** Why an Operation is not begun. Pure. */
import { isHibernating, isInMaintenance } from '@pgherd/api';
import type { Facts } from '../cluster/facts.ts';
import type { Handler } from './handler.ts';
import type { OperationObject } from './kind.ts';
import { timestamp } from './progress.ts';

/** Nobody who asked still waits after so long; a shorter deadline of its own counts. */
const TAKE_UP_SECONDS = 600;

/** How long it may take from its start, in seconds. */
export function deadlineSeconds({ spec }: OperationObject, handler: Handler): number {
  return spec.deadlineSeconds ?? handler.defaultDeadlineSeconds;
}

/**
 * Why an Operation that was asked for while no operator was there is not begun any more: what was wanted then may do
 * harm much later. One that waits for its turn while the operator works may wait as long as it takes.
 *
 * @param workingSince when this operator began its work, in milliseconds since 1970
 */
export function leftTooLong(
  operation: OperationObject,
  handler: Handler,
  workingSince: number,
): string | undefined {
  const { metadata, status } = operation;
  if (status?.phase !== undefined && status.phase !== 'Pending') return undefined;
  const asked = Date.parse(metadata.creationTimestamp ?? '');
  const seconds = Math.min(deadlineSeconds(operation, handler), TAKE_UP_SECONDS);
  // Not a number: never too long ago.
  if (!(workingSince - asked > seconds * 1000)) return undefined;
  return `asked for at ${metadata.creationTimestamp}, it had not begun when the operator came back from an absence at ${timestamp(workingSince)}, more than ${seconds} s later: it is not done any more, ask again if it is still wanted`;
}

/** Why it is not begun on a cluster that somebody wants left alone, or that does not run. */
export function notNow(
  { spec }: OperationObject,
  handler: Handler,
  { cluster }: Facts,
): { reason: string; message: string } | undefined {
  if (!handler.exclusive) return undefined;
  const { name, namespace } = cluster.metadata;
  if (isInMaintenance(cluster))
    return {
      reason: 'Maintenance',
      message: `cluster ${name} is in maintenance: end that first, with pgherd maintenance unset ${name} -n ${namespace}`,
    };
  if (isHibernating(cluster))
    return {
      reason: 'Hibernated',
      message: `cluster ${name} hibernates and cannot do a ${spec.type}: wake it first, with pgherd hibernate off ${name} -n ${namespace}`,
    };
  return undefined;
}
