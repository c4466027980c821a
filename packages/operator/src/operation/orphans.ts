/** Wishes on a Cluster whose Operation is gone: they are withdrawn, so that nothing happens later. Pure. */
import {
  ANNOTATION_PROMOTE,
  ANNOTATION_SWITCHOVER,
  isFinished,
  promoteMark,
  switchoverMark,
} from '@pgherd/api';
import type { ClusterObject } from '../cluster/kind.ts';
import type { OperationObject } from './kind.ts';

export interface Orphans {
  /** The annotations to take away. */
  annotations: string[];
  /** What was called off, for people. */
  message: string;
}

/** Operations mark with their UID; other wishes, such as the operator's own, have ids that look different. */
const UID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Undefined where every wish has an Operation that has not ended. */
export function orphansOf(cluster: ClusterObject, operations: OperationObject[]): Orphans | undefined {
  const alive = new Set(
    operations
      .filter((operation) => !operation.metadata.deletionTimestamp && !isFinished(operation))
      .map(({ metadata }) => metadata.uid),
  );
  const isOrphan = (id: string | undefined) => id !== undefined && UID.test(id) && !alive.has(id);
  const wish = switchoverMark(cluster);
  const leave = promoteMark(cluster);
  const annotations: string[] = [];
  const words: string[] = [];
  if (wish && isOrphan(wish.id)) {
    annotations.push(ANNOTATION_SWITCHOVER);
    words.push(`the switchover from ${wish.from}${wish.to ? ` to ${wish.to}` : ''}`);
  }
  if (leave && isOrphan(leave.id)) {
    annotations.push(ANNOTATION_PROMOTE);
    words.push(`the promotion of ${leave.to}`);
  }
  if (annotations.length === 0) return undefined;
  return { annotations, message: `${words.join(' and ')} is called off: its Operation is gone` };
}
