/** What the Cluster wishes, as the machine wants it told. */
import { type Cluster, type EffectiveSpec, effective } from '@pgherd/api';
import type { Settings } from '@pgherd/ha';

/** A fast stop that takes longer becomes an immediate one: a standby that hangs must not hold up a hand-over. */
const FAST_STOP_MS = 15_000;

/** Instances that may neither lead nor run, separated by commas; `*` is all of them. */
export const ANNOTATION_FENCED = 'pgherd.io/fenced';
/** A wish to move leadership: `{"id": "...", "from": "demo-1", "to": "demo-2"}`; ignored unless `from` leads. */
export const ANNOTATION_SWITCHOVER = 'pgherd.io/switchover';

/** Computes the machine's settings; `self` is our instance's name. */
export function settingsOf(cluster: Cluster, self: string): { eff: EffectiveSpec; settings: Settings } {
  const eff = effective(cluster);
  const { synchronous } = eff.postgresql;
  const annotations = cluster.metadata.annotations ?? {};
  const switchover = switchoverWish(annotations[ANNOTATION_SWITCHOVER]);
  const settings: Settings = {
    instances: eff.instances,
    ...eff.primaryLease,
    failoverDelayMs: eff.failoverDelayMs,
    primaryStartMs: eff.primaryStartTimeoutMs,
    switchoverMs: eff.switchoverDelayMs,
    fastStopMs: FAST_STOP_MS,
    epochFloor: cluster.status?.leaseEpoch ?? 0,
    fenced: fencedNames(annotations[ANNOTATION_FENCED], self),
    ...(cluster.status?.instanceNames ? { instanceNames: cluster.status.instanceNames } : {}),
    ...(cluster.status?.systemID ? { systemID: cluster.status.systemID } : {}),
    ...(eff.maximumLag === undefined ? {} : { maximumLagBytes: eff.maximumLag }),
    ...(switchover ? { switchover } : {}),
    ...(synchronous
      ? {
          sync: {
            method: synchronous.method,
            number: synchronous.number,
            required: synchronous.dataDurability === 'required',
            maxNames: synchronous.maxStandbyNames,
          },
        }
      : {}),
  };
  return { eff, settings };
}

function fencedNames(text: string | undefined, self: string): string[] {
  const names = (text ?? '').split(',').flatMap((name) => name.trim() || []);
  return names.includes('*') ? [...new Set([...names, self])] : names;
}

function switchoverWish(text: string | undefined): Settings['switchover'] {
  if (!text) return undefined;
  try {
    const wish = JSON.parse(text) as { id?: unknown; from?: unknown; to?: unknown };
    if (typeof wish.id !== 'string' || typeof wish.from !== 'string') return undefined;
    return { id: wish.id, from: wish.from, ...(typeof wish.to === 'string' ? { to: wish.to } : {}) };
  } catch {
    return undefined;
  }
}
