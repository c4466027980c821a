/** What people and the operator ask of a cluster by annotations on the Cluster. An unreadable mark asks nothing. */
import {
  ANNOTATION_FENCED,
  ANNOTATION_HIBERNATION,
  ANNOTATION_MAINTENANCE,
  ANNOTATION_PROMOTE,
  ANNOTATION_RESTORE,
  ANNOTATION_SWITCHOVER,
} from './labels.ts';

/** A wish to move leadership away from `from`; without `to` the instances choose. */
export interface SwitchoverMark {
  id: string;
  from: string;
  to?: string;
  /** To wait for a target that lags or is not ready. */
  force?: boolean;
  /** When nobody expects it any more (RFC 3339): it is not begun after that. */
  until?: string;
}

/** Leave for `to` to lead without having asked the others, in the epoch named and no other. */
export interface PromoteMark {
  id: string;
  to: string;
  epoch: number;
}

/** A restore in place. `back`: the state from before is to come back, if the restored primary has not answered yet. */
export interface RestoreMark {
  /** UID of the Operation. */
  id: string;
  /** Its name, for people. */
  operation: string;
  back?: boolean;
  keepOldVolumes?: boolean;
  /** What is restored: a RecoverySource. */
  source: unknown;
}

type Marked = { metadata: { annotations?: Record<string, string> | undefined } };

/** Stands for every instance in the list of those that are fenced. */
export const ALL_INSTANCES = '*';

function parsed(cluster: Marked, annotation: string): Record<string, unknown> | unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(cluster.metadata.annotations?.[annotation] ?? '');
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** The names in the list of fenced instances, as written: `*` stands for all. */
export function fencedMark(cluster: Marked): string[] {
  const list = parsed(cluster, ANNOTATION_FENCED);
  return Array.isArray(list) ? list.filter((name) => typeof name === 'string') : [];
}

/** True when the instance may neither lead nor run. */
export function isFenced(cluster: Marked, instance: string): boolean {
  const names = fencedMark(cluster);
  return names.includes(instance) || names.includes(ALL_INSTANCES);
}

export function isHibernating(cluster: Marked): boolean {
  return cluster.metadata.annotations?.[ANNOTATION_HIBERNATION] === 'on';
}

export function isInMaintenance(cluster: Marked): boolean {
  return cluster.metadata.annotations?.[ANNOTATION_MAINTENANCE] === 'on';
}

export function switchoverMark(cluster: Marked): SwitchoverMark | undefined {
  const mark = { ...parsed(cluster, ANNOTATION_SWITCHOVER) } as Record<string, unknown>;
  const { id, from, to, force, until } = mark;
  if (typeof id !== 'string' || typeof from !== 'string') return undefined;
  return {
    id,
    from,
    ...(typeof to === 'string' ? { to } : {}),
    ...(force === true ? { force } : {}),
    ...(typeof until === 'string' ? { until } : {}),
  };
}

export function promoteMark(cluster: Marked): PromoteMark | undefined {
  const { id, to, epoch } = { ...parsed(cluster, ANNOTATION_PROMOTE) } as Record<string, unknown>;
  if (typeof id !== 'string' || typeof to !== 'string' || typeof epoch !== 'number') return undefined;
  return { id, to, epoch };
}

export function restoreMark(cluster: Marked): RestoreMark | undefined {
  const mark = { ...parsed(cluster, ANNOTATION_RESTORE) } as Record<string, unknown>;
  const { id, operation, back, keepOldVolumes, source } = mark;
  if (typeof id !== 'string' || typeof operation !== 'string' || typeof source !== 'object') return undefined;
  return { id, operation, back: back === true, keepOldVolumes: keepOldVolumes === true, source };
}
