/** How each fault is done. What it returns makes it good again. */
import { names } from '@pgherd/api';
import { bringUp, ClusterKind } from '@pgherd/cli';
import { commandLine, killPod } from '@pgherd/cli/pod-processes';
import { kinds } from '@pgherd/kube';
import { status } from '@pgherd/local';
import type { Disks } from '../disks.ts';
import { breakNode, operatorPods, takeApiAway, takeOperatorAway, type Undo } from '../faults.ts';
import { endlessTransaction, manyConnections } from './occupy.ts';
import type { FaultKind, PlannedFault } from './plan.ts';
import { managerOf, postgresOf, type Seen, type Target } from './target.ts';

/** What a fault is given. `say`: a line for the report. */
export interface Blow {
  target: Target;
  fault: PlannedFault;
  victim: Seen;
  say(text: string): void;
}

type Inflict = (blow: Blow) => Promise<Undo | undefined>;

/** A full volume has less than so many megabytes left. */
const ALMOST_FULL_MB = 40;

/** How many instances the cluster has when nothing is scaled. */
export const INSTANCES = 3;

const DAMAGE = [
  'rm -f "$PGDATA/global/pg_control"',
  'dd if=/dev/zero of="$PGDATA/global/pg_control" bs=8192 count=1 conv=notrunc',
  'rm -f "$PGDATA"/pg_wal/0*',
  'rm -f "$PGDATA/PG_VERSION"',
  'rm -rf "$PGDATA/pg_xact"',
];

function signalAll(pids: number[], signal: NodeJS.Signals): void {
  if (pids.length === 0) throw new Error('there is no such process now');
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It went by itself.
    }
  }
}

const node =
  (how: 'stop' | 'freeze' | 'isolate'): Inflict =>
  ({ target, victim }) =>
    breakNode(target.stage.world, victim.node, how);

/** SIGSTOP to some processes of a pod, and SIGCONT to those that are left. */
const freeze =
  (pick: (victim: Seen) => number[]): Inflict =>
  async ({ victim }) => {
    const pids = pick(victim);
    signalAll(pids, 'SIGSTOP');
    return async () => {
      const left = new Set(pick(victim));
      for (const pid of pids.filter((each) => left.has(each))) signalAll([pid], 'SIGCONT');
    };
  };

const once =
  (act: (blow: Blow) => unknown): Inflict =>
  async (blow) => {
    await act(blow);
    return undefined;
  };

function disksOf({ disks }: Target): Disks {
  if (!disks) throw new Error('the volumes of this run cannot be broken');
  return disks;
}

async function killComponent({ target }: Blow, name: string): Promise<void> {
  const { components } = await status({ state: target.stage.world.state });
  const pid = components.find((each) => each.name === name)?.pid;
  signalAll(pid ? [pid] : [], 'SIGKILL');
}

async function patchSpec({ target }: Blow, spec: object): Promise<void> {
  const { client, namespace, cluster } = target.stage;
  await client.patch(ClusterKind, { namespace, name: cluster }, { type: 'merge', body: { spec } });
}

const scale =
  (instances: number): Inflict =>
  async (blow) => {
    await patchSpec(blow, { instances });
    return () => patchSpec(blow, { instances: INSTANCES });
  };

async function deletePod({ target, victim }: Blow, gracePeriodSeconds?: number): Promise<void> {
  const { client, namespace } = target.stage;
  await client.delete(
    kinds.Pod,
    { namespace, name: victim.name },
    gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds },
  );
}

export const inflict: Record<FaultKind, Inflict> = {
  'node-stop': node('stop'),
  'node-freeze': node('freeze'),
  'node-isolate': node('isolate'),
  'api-away': ({ target }) => takeApiAway(target.stage.world),
  'operator-away': ({ target }) => takeOperatorAway(target.stage),
  'manager-freeze': freeze(managerOf),
  'postmaster-freeze': freeze((victim) => postgresOf(victim).slice(0, 1)),
  'postgres-freeze': freeze(postgresOf),
  'endless-transaction': endlessTransaction,
  'many-connections': manyConnections,
  'disk-hang': ({ target, victim }) => disksOf(target).hang(victim.node),
  'disk-full': ({ target, victim, fault }) =>
    disksOf(target).fill(victim.node, Math.floor(fault.which * ALMOST_FULL_MB)),
  backup: once(({ target, say }) => {
    const { stage } = target;
    // It may fail beside other faults; it must only end, and with a reason.
    void stage
      .cli(['backup', stage.cluster, '--timeout', '120s'], { timeoutMs: 150_000 })
      .then(({ code, stderr }) => say(`backup ended with ${code} ${stderr.trim().split('\n').at(-1)}`));
  }),
  'postmaster-kill': once(({ victim }) => signalAll(postgresOf(victim).slice(0, 1), 'SIGKILL')),
  'manager-kill': once(({ victim }) => signalAll(managerOf(victim), 'SIGKILL')),
  'pod-kill': once(({ victim }) => killPod(victim.uid)),
  'pod-delete': once((blow) => deletePod(blow)),
  'pod-delete-now': once((blow) => deletePod(blow, 0)),
  'walsenders-end': once(({ victim }) =>
    signalAll(
      postgresOf(victim).filter((pid) => commandLine(pid).includes('walsender')),
      'SIGTERM',
    ),
  ),
  'backend-kill': once(({ victim, fault }) => {
    const [, ...others] = postgresOf(victim);
    signalAll(others.slice(Math.floor(fault.which * others.length)).slice(0, 1), 'SIGKILL');
  }),
  'agent-kill': once((blow) => killComponent(blow, `agent-${blow.victim.node}`)),
  'api-kill': once((blow) => killComponent(blow, 'api')),
  'controllers-kill': once((blow) => killComponent(blow, 'controllers')),
  'netd-kill': once((blow) => killComponent(blow, 'netd')),
  'operator-kill': once(async ({ target }) => {
    for (const pod of await operatorPods(target.stage)) killPod(pod.metadata.uid ?? '');
  }),
  'supervisor-kill': async (blow) => {
    await killComponent(blow, 'supervisor');
    return async () => {
      const { client } = await bringUp({ state: blow.target.stage.world.state ?? '' });
      client.close();
    };
  },
  switchover: once(({ target, say }) => {
    const { stage } = target;
    // It may well fail beside other faults; it must only end.
    void stage
      .cli(['switchover', stage.cluster, '--yes', '--timeout', '60s'], { timeoutMs: 90_000 })
      .then(({ code, stderr }) => say(`switchover ended with ${code} ${stderr.trim().split('\n')[0]}`));
  }),
  'setting-reload': once((blow) =>
    patchSpec(blow, {
      postgresql: { parameters: { work_mem: `${4 + Math.floor(blow.fault.which * 60)}MB` } },
    }),
  ),
  'setting-restart': once((blow) =>
    patchSpec(blow, {
      postgresql: { parameters: { shared_buffers: `${64 + 8 * Math.floor(blow.fault.which * 16)}MB` } },
    }),
  ),
  'synchronous-change': once((blow) => {
    const ways = [
      { method: 'any', number: 1 },
      { method: 'first', number: 1 },
      { method: 'any', number: 2 },
    ];
    const synchronous = ways[Math.floor(blow.fault.which * ways.length)];
    return patchSpec(blow, { postgresql: { synchronous } });
  }),
  'scale-down': scale(INSTANCES - 1),
  'scale-up': scale(INSTANCES + 1),
  'lease-delete': once(({ target }) => {
    const { client, namespace, cluster } = target.stage;
    return client.delete(kinds.Lease, { namespace, name: names(cluster).lease });
  }),
  'data-empty': once(({ target, victim }) =>
    target.stage.inPod(victim.name, 'find "$PGDATA" -mindepth 1 -delete 2>/dev/null; true'),
  ),
  'data-damage': once(({ target, victim, fault, say }) => {
    const script = DAMAGE[Math.floor(fault.which * DAMAGE.length)] ?? '';
    say(script);
    return target.stage.inPod(victim.name, `${script}; kill -9 "$(head -n 1 "$PGDATA/postmaster.pid")"`);
  }),
  'volume-delete': once(async (blow) => {
    const { client, namespace } = blow.target.stage;
    const { name } = blow.victim;
    await client.delete(kinds.PersistentVolumeClaim, { namespace, name });
    await deletePod(blow);
  }),
};
