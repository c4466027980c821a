/** What the Cluster wishes, as the machine wants it told. */
import {
  ALL_INSTANCES,
  type Cluster,
  type EffectiveSpec,
  effective,
  fencedMark,
  isInMaintenance,
  promoteMark,
  type SwitchoverMark,
  switchoverMark,
} from '@pgherd/api';
import type { Settings } from '@pgherd/ha';

/** A fast stop that takes longer becomes an immediate one: a standby that hangs must not hold up a hand-over. */
const FAST_STOP_MS = 15_000;

/** Computes the machine's settings; `self` is our instance's name. */
export function settingsOf(cluster: Cluster, self: string): { eff: EffectiveSpec; settings: Settings } {
  const eff = effective(cluster);
  const { synchronous } = eff.postgresql;
  const switchover = switchoverMark(cluster);
  const promote = promoteMark(cluster);
  const settings: Settings = {
    instances: eff.instances,
    ...eff.primaryLease,
    failoverDelayMs: eff.failoverDelayMs,
    primaryStartMs: eff.primaryStartTimeoutMs,
    switchoverMs: eff.switchoverDelayMs,
    fastStopMs: FAST_STOP_MS,
    epochFloor: cluster.status?.leaseEpoch ?? 0,
    fenced: fencedNames(cluster, self),
    ...(cluster.status?.instanceNames ? { instanceNames: cluster.status.instanceNames } : {}),
    ...(cluster.status?.systemID ? { systemID: cluster.status.systemID } : {}),
    ...(eff.maximumLag === undefined ? {} : { maximumLagBytes: eff.maximumLag }),
    ...(switchover ? { switchover: wishOf(switchover) } : {}),
    ...(promote ? { promote } : {}),
    maintenance: isInMaintenance(cluster),
    priorities: eff.failoverPriority,
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

/** A time that cannot be read bounds nothing. */
function wishOf({ until, ...wish }: SwitchoverMark): NonNullable<Settings['switchover']> {
  const untilWall = Date.parse(until ?? '');
  return { ...wish, ...(Number.isNaN(untilWall) ? {} : { untilWall }) };
}

/** `*` means every instance we know of, ourselves among them whatever the status says. */
function fencedNames(cluster: Cluster, self: string): string[] {
  const names = fencedMark(cluster);
  if (!names.includes(ALL_INSTANCES)) return names;
  return [...new Set([...(cluster.status?.instanceNames ?? []), self])];
}
