/** What a cluster costs that does nothing: writes to the API, memory, CPU. */
import { OPERATOR_NAMESPACE } from '@pgherd/api';
import { commandLine, podProcesses } from '@pgherd/cli/pod-processes';
import { Stage, startLocalWorld, type World } from '@pgherd/e2e';
import { type AnyObject, defineKind, type Kind, type KubeObject, kinds } from '@pgherd/kube';
import { status } from '@pgherd/local';
import { type Measurement, median } from './measurement.ts';
import { cpuSeconds, residentBytes } from './process-stats.ts';

const SECONDS = 60;
/** A new cluster's last events and status writes are not its steady state. */
const SETTLE_MS = 15_000;
const NAMESPACE = 'bench';

export const steady: Measurement = async ({ seconds = SECONDS, say }) => {
  say('Starting local mode and a cluster of three instances');
  const world = await startLocalWorld('bench');
  try {
    await world.client.create(kinds.Namespace, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: NAMESPACE },
    } as KubeObject);
    const stage = new Stage(world, NAMESPACE);
    await stage.createCluster();
    say(`Letting it settle for ${SETTLE_MS / 1000} s, then watching it for ${seconds} s`);
    await pause(SETTLE_MS);
    const writes = await countWrites(world, seconds * 1000, await processesOf(world, stage));
    return outcome(writes, seconds);
  } finally {
    await world.stop();
  }
};

interface ProcessCost {
  what: string;
  count: number;
  /** Of one process, median, in MiB. */
  residentMiB: number;
  /** Of all of them together, in percent of one core. */
  cpuPercent: number;
}

interface Steady {
  /** Changes per kind and object, Leases apart. */
  writes: Record<string, number>;
  leaseRenewals: number;
  processes: ProcessCost[];
}

type Processes = Map<string, number[]>;

async function countWrites(world: World, ms: number, processes: Processes): Promise<Steady> {
  const all = await everyKind(world);
  const watching = new AbortController();
  const writes: Record<string, number> = {};
  let leaseRenewals = 0;
  const starts = await Promise.all(
    all.map(async (kind) => ({
      kind,
      from: (await world.client.list(kind, { limit: 1, onePage: true })).metadata.resourceVersion,
    })),
  );
  const watches = starts.map(({ kind, from }) =>
    watchChanges(world, kind, from, watching.signal, (object) => {
      if (kind.kind === 'Lease') leaseRenewals += 1;
      else {
        const name = `${kind.kind} ${object.metadata.namespace ?? ''}/${object.metadata.name}`;
        writes[name] = (writes[name] ?? 0) + 1;
      }
    }),
  );
  const before = cpuOf(processes);
  const started = performance.now();
  await pause(ms);
  const elapsed = (performance.now() - started) / 1000;
  const after = cpuOf(processes);
  watching.abort();
  await Promise.allSettled(watches);
  const costs = [...processes].map(([what, pids]) => ({
    what,
    count: pids.length,
    residentMiB: Math.round((median(pids.map(residentBytes)) / 1024 / 1024) * 10) / 10,
    cpuPercent: Math.round((((after.get(what) ?? 0) - (before.get(what) ?? 0)) / elapsed) * 1000) / 10,
  }));
  return { writes, leaseRenewals, processes: costs };
}

function cpuOf(processes: Processes): Map<string, number> {
  return new Map(
    [...processes].map(([what, pids]) => [what, pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0)]),
  );
}

async function watchChanges(
  world: World,
  kind: Kind,
  from: string,
  signal: AbortSignal,
  onChange: (object: AnyObject) => void,
): Promise<void> {
  const watch = world.client.watch(kind, { resourceVersion: from, signal });
  for await (const { type, object } of watch) if (type !== 'BOOKMARK') onChange(object as AnyObject);
}

interface ResourceList {
  groupVersion?: string;
  resources: { name: string; kind: string; namespaced: boolean; verbs: string[] }[];
}

/** Every kind that can be watched, as the API itself says. */
async function everyKind(world: World): Promise<Kind[]> {
  const { client } = world;
  const groups = await client.json<{ groups: { name: string; preferredVersion: { version: string } }[] }>({
    path: '/apis',
  });
  const found = [await kindsAt(world, '', 'v1', '/api/v1')];
  for (const group of groups.groups) {
    const { version } = group.preferredVersion;
    found.push(await kindsAt(world, group.name, version, `/apis/${group.name}/${version}`));
  }
  return found.flat();
}

async function kindsAt(world: World, group: string, version: string, path: string): Promise<Kind[]> {
  const { resources } = await world.client.json<ResourceList & AnyObject>({ path });
  return resources
    .filter((each) => each.verbs.includes('watch') && !each.name.includes('/'))
    .map((each) => defineKind(group, version, each.kind, each.name, each.namespaced) as Kind);
}

/** The processes whose cost is asked for, by what they are. */
async function processesOf(world: World, stage: Stage): Promise<Processes> {
  const found: Processes = new Map();
  const add = (what: string, pids: number[]) => {
    if (pids.length > 0) found.set(what, [...(found.get(what) ?? []), ...pids]);
  };
  const operators = await world.client.list(kinds.Pod, { namespace: OPERATOR_NAMESPACE });
  for (const pod of operators.items) add('operator', matching(pod.metadata.uid, /operator\.mjs/));
  for (const pod of await stage.instances()) {
    add('manager', matching(pod.metadata.uid, /manager\.mjs/));
    add('guard', matching(pod.metadata.uid, /\/pgherd\/guard/));
  }
  const { components } = await status({ state: world.state });
  for (const { name, pid } of components) if (pid) add(name.startsWith('agent') ? 'agent' : name, [pid]);
  return found;
}

function matching(uid: string | undefined, pattern: RegExp): number[] {
  return podProcesses(uid ?? '').filter(
    (pid) => pattern.test(commandLine(pid)) && !/bwrap|shim/.test(commandLine(pid)),
  );
}

function outcome(found: Steady, seconds: number) {
  const total = Object.values(found.writes).reduce((sum, each) => sum + each, 0);
  const perMinute = Math.round((total / seconds) * 60 * 10) / 10;
  const lines = [
    `A cluster of three that does nothing, over ${seconds} s:`,
    `  writes to the API beyond Lease renewals: ${perMinute} a minute (aim: 0)`,
    ...Object.entries(found.writes).map(([name, count]) => `    ${count} x ${name}`),
    `  Lease renewals: ${Math.round((found.leaseRenewals / seconds) * 60)} a minute, those of nodes and operator included`,
    '  process        count  MiB each  CPU % of a core',
    ...found.processes.map(
      (each) =>
        `  ${each.what.padEnd(14)} ${String(each.count).padStart(5)}  ${each.residentMiB.toFixed(1).padStart(8)}  ${each.cpuPercent.toFixed(1).padStart(15)}`,
    ),
  ];
  return { result: { seconds, writesPerMinute: perMinute, aim: 0, ...found }, lines };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
