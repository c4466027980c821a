/** What a chaos run knows of its cluster, also while the API is away. */
import { LABEL_INSTANCE } from '@pgherd/api';
import { commandLine, findInPod } from '@pgherd/cli/pod-processes';
import type { Pod } from '@pgherd/kube';
import type { Disks } from '../disks.ts';
import type { Stage } from '../stage.ts';
import type { PlannedFault } from './plan.ts';

/** An instance, as it was last seen. */
export interface Seen {
  name: string;
  uid: string;
  node: string;
  address: string | undefined;
}

const LOOK_MS = 300;

export class Target {
  readonly stage: Stage;
  instances: Seen[] = [];
  primary: string | undefined;
  disks: Disks | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(stage: Stage) {
    this.stage = stage;
  }

  /** Looks again and again until `end`; `onAddresses` hears where instances are. */
  watch(onAddresses: (addresses: string[]) => void): void {
    const look = async (): Promise<void> => {
      await this.look().catch(() => {});
      onAddresses(this.instances.flatMap(({ address }) => address ?? []));
      if (this.timer) this.timer = setTimeout(() => void look(), LOOK_MS);
    };
    this.timer = setTimeout(() => void look(), 0);
  }

  end(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  async look(): Promise<void> {
    const pods = await this.stage.instances();
    this.instances = pods.filter((pod) => !pod.metadata.deletionTimestamp).flatMap(seen);
    this.primary = (await this.stage.leader()) ?? this.primary;
  }

  /** The instance that a planned fault means now. */
  victim(fault: PlannedFault): Seen {
    const { primary, instances } = this;
    const fitting = instances.filter(({ name }) => {
      if (fault.victim === 'any') return true;
      return (name === primary) === (fault.victim === 'primary');
    });
    const from = fitting.length > 0 ? fitting : instances;
    const found = from[Math.floor(fault.which * from.length)];
    if (!found) throw new Error('there is no instance');
    return found;
  }
}

function seen(pod: Pod): Seen[] {
  const { uid, name, labels } = pod.metadata;
  const node = pod.spec?.nodeName;
  if (!uid || !node) return [];
  return [{ name: labels?.[LABEL_INSTANCE] ?? name, uid, node, address: pod.status?.podIP }];
}

/** The manager's process of a pod; empty while there is none. */
export function managerOf({ uid }: Seen): number[] {
  return findInPod(uid, /manager\.mjs/).filter((pid) => !/bwrap|shim/.test(commandLine(pid)));
}

/** All processes of a pod's PostgreSQL, its postmaster first. */
export function postgresOf({ uid }: Seen): number[] {
  const isPostmaster = (pid: number) => /bin\/postgres -D/.test(commandLine(pid));
  const found = findInPod(uid, /^postgres: |bin\/postgres -D/);
  return found.sort((a, b) => Number(isPostmaster(b)) - Number(isPostmaster(a)));
}
