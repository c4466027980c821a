/** What a container's resources come to in the words of the kernel's control groups. Pure. */
import { type Container, quantity } from '@pgherd/kube';

/** A file of a control group and what is written into it, in this order. */
export type Setting = [file: string, value: string];

export interface Limits {
  /** Bytes. */
  memory?: number;
  /** Thousandths of a processor. */
  cpu?: number;
  /** Thousandths of a processor asked for: the share when all want more. */
  cpuRequest?: number;
}

const PERIOD_US = 100_000;
/** The kernel takes no shorter quota. */
const LEAST_QUOTA_US = 1000;

/** The limits of a container; undefined where it has none. */
export function limitsOf({ resources }: Pick<Container, 'resources'>): Limits | undefined {
  const { limits, requests } = resources ?? {};
  const thousandths = (text: string | undefined) =>
    text === undefined ? undefined : Math.ceil(quantity(text) * 1000);
  const memory = limits?.memory === undefined ? undefined : Math.floor(quantity(limits.memory));
  const cpu = thousandths(limits?.cpu);
  const cpuRequest = thousandths(requests?.cpu ?? limits?.cpu);
  if (!memory && !cpu && !cpuRequest) return undefined;
  return {
    ...(memory ? { memory } : {}),
    ...(cpu ? { cpu } : {}),
    ...(cpuRequest ? { cpuRequest } : {}),
  };
}

const quota = (cpu: number): number => Math.max(LEAST_QUOTA_US, (cpu * PERIOD_US) / 1000);
const shares = (cpu: number): number => Math.min(262_144, Math.max(2, Math.floor((cpu * 1024) / 1000)));

/** Version 1: the settings of the group in the hierarchy of this controller. */
export function settingsV1(controller: 'memory' | 'cpu', limits: Limits): Setting[] {
  if (controller === 'memory') {
    if (!limits.memory) return [];
    const value = String(limits.memory);
    // The second counts swap as well, and may not be below the first.
    return [
      ['memory.limit_in_bytes', value],
      ['memory.memsw.limit_in_bytes', value],
    ];
  }
  return [
    ...(limits.cpuRequest ? ([['cpu.shares', String(shares(limits.cpuRequest))]] as Setting[]) : []),
    ...(limits.cpu
      ? ([
          ['cpu.cfs_period_us', String(PERIOD_US)],
          ['cpu.cfs_quota_us', String(quota(limits.cpu))],
        ] as Setting[])
      : []),
  ];
}

/** Version 2: the settings of the one group. */
export function settingsV2(limits: Limits): Setting[] {
  const settings: Setting[] = [];
  if (limits.memory) {
    settings.push(['memory.max', String(limits.memory)], ['memory.swap.max', '0']);
    // As the kubelet does: a container that runs out of memory ends as a whole.
    settings.push(['memory.oom.group', '1']);
  }
  if (limits.cpu) settings.push(['cpu.max', `${quota(limits.cpu)} ${PERIOD_US}`]);
  if (limits.cpuRequest) {
    const weight = 1 + Math.floor(((shares(limits.cpuRequest) - 2) * 9999) / 262_142);
    settings.push(['cpu.weight', String(weight)]);
  }
  return settings;
}

/** How often the kernel killed for want of memory, out of memory.oom_control or memory.events. */
export function oomKills(text: string): number {
  return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
}
