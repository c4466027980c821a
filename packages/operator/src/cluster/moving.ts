/**
 * While leadership moves nobody can write, and what the operator writes then takes time from those who do the work:
 * statuses go to everybody who watches, labels make kubelets look at pods. All of that can wait for a second. Pure.
 */
import { type Facts, isBootstrapping, isLeader, isTerminating, isToSleep } from './facts.ts';

/** When to look again meanwhile, in milliseconds. */
export const MOVING_LOOK_MS = 100;
/** A stage of it that takes longer than this is seen to, and said. */
const STAGE_MS = 1_000;

/** A stage of a move, and when it was first seen (performance.now()). */
export interface Moving {
  stage: string;
  since: number;
}

/** How far a move of leadership is; undefined: there is none. */
export function stageOfMove(facts: Facts): string | undefined {
  const { lease, cluster } = facts;
  if (!lease || isTerminating(cluster) || isBootstrapping(facts) || isToSleep(facts)) return undefined;
  if (!lease.holder) return lease.handover && `handed over in epoch ${lease.epoch}`;
  const leader = facts.instances.find((each) => isLeader(facts, each))?.report;
  if (leader?.role === 'replica') return `promotion in epoch ${lease.epoch}`;
  return leader?.state === 'demoting' && !leader.ready ? `stop in epoch ${lease.epoch}` : undefined;
}

/** What is to be remembered of a move after a look at `now` (performance.now()). */
export function movingAt(now: number, facts: Facts, before: Moving | undefined): Moving | undefined {
  const stage = stageOfMove(facts);
  if (stage === undefined) return undefined;
  return before?.stage === stage ? before : { stage, since: now };
}

/** True while the cluster is to be left alone. */
export function isLeftAlone(moving: Moving | undefined, now: number): boolean {
  return moving !== undefined && now - moving.since < STAGE_MS;
}
