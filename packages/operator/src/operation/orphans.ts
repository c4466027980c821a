/** Wishes on a Cluster whose Operation is gone: they are withdrawn, so that nothing happens later. Pure. */
import {
  ANNOTATION_PROMOTE,
  ANNOTATION_RESTORE,
  ANNOTATION_SWITCHOVER,
  isFinished,
  promoteMark,
  type RestorationStage,
  restoreMark,
  switchoverMark,
} from '@pgherd/api';
import type { ClusterObject } from '../cluster/kind.ts';
import type { OperationObject } from './kind.ts';

export interface Orphans {
  /** What the annotations become: null takes one away. None: a restore that is on its way, to be looked at again. */
  annotations: Record<string, string | null>;
  /** What was called off, for people; empty: nothing worth a word. */
  message: string;
}

/** Until the restored primary answers, the state from before can come back. */
const BEFORE_IT_ANSWERS: RestorationStage[] = ['stopping', 'restoring'];

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
  const annotations: Orphans['annotations'] = {};
  const words: string[] = [];
  if (wish && isOrphan(wish.id)) {
    annotations[ANNOTATION_SWITCHOVER] = null;
    words.push(`the switchover from ${wish.from}${wish.to ? ` to ${wish.to}` : ''}`);
  }
  if (leave && isOrphan(leave.id)) {
    annotations[ANNOTATION_PROMOTE] = null;
    words.push(`the promotion of ${leave.to}`);
  }
  const restore = isOrphan(restoreMark(cluster)?.id) ? restoreWithout(cluster) : undefined;
  if (restore) {
    Object.assign(annotations, restore.annotations);
    if (restore.word) words.push(restore.word);
  } else if (words.length === 0) return undefined;
  const message = words.length > 0 ? `${words.join(' and ')} is called off: its Operation is gone` : '';
  return { annotations, message };
}

/** A restore that nobody follows any more is taken back as long as it can be; else it goes on to its end by itself. */
function restoreWithout(cluster: ClusterObject): { annotations: Orphans['annotations']; word?: string } {
  const mark = restoreMark(cluster)!;
  const { restoration } = cluster.status ?? {};
  const stage = restoration?.id === mark.id ? restoration.stage : undefined;
  const word = `the restore ${mark.operation}`;
  if (stage === undefined) return { annotations: { [ANNOTATION_RESTORE]: null }, word };
  if (stage === 'done' || stage === 'returned') return { annotations: { [ANNOTATION_RESTORE]: null } };
  if (mark.back || !BEFORE_IT_ANSWERS.includes(stage)) return { annotations: {} };
  return { annotations: { [ANNOTATION_RESTORE]: JSON.stringify({ ...mark, back: true }) }, word };
}
