/** Whose turn it is: one Operation at a time that changes a cluster, the oldest first. Pure. */
import { isFinished } from '@pgherd/api';
import type { OperationObject } from './kind.ts';

export interface Line {
  /** To be worked on now. */
  running: OperationObject[];
  /** To wait, and for which one. */
  waiting: { operation: OperationObject; behind: OperationObject }[];
  /** Ended long enough ago to be deleted. */
  expired: OperationObject[];
  /** When the next one expires, in milliseconds from now. */
  nextExpiryMs?: number;
}

const DEFAULT_TTL_SECONDS = 7 * 24 * 3600;

/** `isExclusive`: whether it must be alone with its cluster. */
export function line(
  operations: OperationObject[],
  now: number,
  isExclusive: (operation: OperationObject) => boolean,
): Line {
  const result: Line = { running: [], waiting: [], expired: [] };
  const open = operations.filter(
    (operation) => !operation.metadata.deletionTimestamp && !isFinished(operation),
  );
  open.sort(byTurn);
  const first = open.find(isExclusive);
  for (const operation of open) {
    if (!isExclusive(operation) || operation === first) result.running.push(operation);
    else result.waiting.push({ operation, behind: first! });
  }
  for (const operation of operations.filter(isFinished)) {
    const leftMs = expiry(operation) - now;
    if (leftMs <= 0) result.expired.push(operation);
    else result.nextExpiryMs = Math.min(result.nextExpiryMs ?? Number.POSITIVE_INFINITY, leftMs);
  }
  return result;
}

/** What has begun goes on; then the oldest. */
function byTurn(a: OperationObject, b: OperationObject): number {
  const begun = Number(b.status?.phase === 'Running') - Number(a.status?.phase === 'Running');
  if (begun !== 0) return begun;
  const [left, right] = [a, b].map(({ metadata }) => `${metadata.creationTimestamp} ${metadata.name}`);
  return left! < right! ? -1 : 1;
}

function expiry({ spec, status, metadata }: OperationObject): number {
  const end = Date.parse(status?.finishedAt ?? metadata.creationTimestamp ?? '');
  return end + (spec.ttlSecondsAfterFinished ?? DEFAULT_TTL_SECONDS) * 1000;
}
