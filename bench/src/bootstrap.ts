/** From apply to three ready instances, over a shell script that makes three by hand. */
import { execFile } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findPostgres } from '@pgherd/cli';
import { Stage, startLocalWorld, type World } from '@pgherd/e2e';
import { type KubeObject, kinds, type Pod } from '@pgherd/kube';
import { type Measurement, median } from './measurement.ts';

const run = promisify(execFile);
const RUNS = 3;
/** PostgreSQL refuses to run as root: then the floor runs as nobody. */
const NOBODY = 65534;

interface Floor {
  initdb: number;
  start: number;
  standbys: number;
  total: number;
}

interface Ours {
  total: number;
  /** When each thing was reached, in milliseconds after apply. */
  marks: Record<string, number>;
}

export const bootstrap: Measurement = async ({ runs = RUNS, say }) => {
  say('Starting local mode');
  const world = await startLocalWorld('bench');
  const floors: Floor[] = [];
  const ours: Ours[] = [];
  try {
    for (let i = 0; i < runs; i++) {
      floors.push(await runFloor());
      ours.push(await runOurs(world, i));
      say(`run ${i + 1}: floor ${floors.at(-1)?.total} ms, pgherd ${Math.round(ours.at(-1)?.total ?? 0)} ms`);
    }
  } finally {
    await world.stop();
  }
  const floor = median(floors.map((each) => each.total));
  const total = median(ours.map((each) => each.total));
  const marks = medianMarks(ours);
  const result = {
    unit: 'ms',
    floor,
    pgherd: Math.round(total),
    ratio: round(total / floor),
    aim: 3,
    floorSteps: {
      initdb: median(floors.map((each) => each.initdb)),
      start: median(floors.map((each) => each.start)),
      standbys: median(floors.map((each) => each.standbys)),
    },
    marks,
    runs,
  };
  const lines = [
    `Bootstrap of three instances, median of ${runs} runs:`,
    `  shell script  ${(floor / 1000).toFixed(2)} s  (initdb ${result.floorSteps.initdb} ms, start ${result.floorSteps.start} ms, standbys ${result.floorSteps.standbys} ms)`,
    `  pgherd        ${(total / 1000).toFixed(2)} s  ratio ${result.ratio} (aim: 3 or less)`,
    'Where it goes, milliseconds after apply:',
    ...Object.entries(marks).map(([name, ms]) => `  ${String(ms).padStart(6)}  ${name}`),
  ];
  return { result, lines };
};

async function runFloor(): Promise<Floor> {
  const folder = mkdtempSync(join(tmpdir(), 'pgherd-floor-'));
  const bin = findPostgres().get('15') ?? [...findPostgres().values()].at(-1) ?? '';
  const asRoot = process.getuid?.() === 0;
  if (asRoot) chownSync(folder, NOBODY, NOBODY);
  try {
    const script = join(import.meta.dirname, 'floor.sh');
    const { stdout } = await run('/bin/sh', [script, bin, folder, String(await freePorts())], {
      cwd: folder,
      timeout: 60_000,
      ...(asRoot ? { uid: NOBODY, gid: NOBODY } : {}),
    });
    return JSON.parse(stdout) as Floor;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The first of three ports in a row that are free now. */
async function freePorts(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port < 65_000 ? port : port - 1_000;
}

async function runOurs(world: World, serial: number): Promise<Ours> {
  const namespace = `bench-${serial}`;
  await world.client.create(kinds.Namespace, {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespace },
  } as KubeObject);
  const stage = new Stage(world, namespace);
  const watching = new AbortController();
  const marks: Record<string, number> = {};
  const started = performance.now();
  const mark = (name: string) => {
    marks[name] ??= Math.round(performance.now() - started);
  };
  const watched = watchPods(world, namespace, mark, watching.signal);
  try {
    await stage.createCluster({ postgresql: {} });
    const total = performance.now() - started;
    mark('cluster Ready');
    return { total, marks };
  } finally {
    watching.abort();
    await watched;
    await world.client.delete(kinds.Namespace, { name: namespace }).catch(() => {});
  }
}

async function watchPods(
  world: World,
  namespace: string,
  mark: (name: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const ready = new Set<string>();
  try {
    for await (const { object } of world.client.watch(kinds.Pod, { namespace, signal })) {
      markPod(object as Pod, mark, ready);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function markPod(pod: Pod, mark: (name: string) => void, ready: Set<string>): void {
  const first = pod.metadata.name.endsWith('-1');
  const who = first ? 'first instance' : 'a replica';
  mark(`${who}: pod made`);
  if (pod.spec?.nodeName) mark(`${who}: pod has a node`);
  const container = pod.status?.containerStatuses?.find((each) => each.name === 'postgres');
  if (container?.state?.running) mark(`${who}: manager started`);
  if (!pod.status?.conditions?.some((each) => each.type === 'Ready' && each.status === 'True')) return;
  ready.add(pod.metadata.name);
  mark(first ? 'first instance: ready' : `${ready.size} instances ready`);
}

function medianMarks(ours: Ours[]): Record<string, number> {
  const names = new Set(ours.flatMap((each) => Object.keys(each.marks)));
  const medians = [...names].map((name) => {
    const values = ours.map((each) => each.marks[name]).filter((value) => value !== undefined);
    return [name, Math.round(median(values))] as const;
  });
  return Object.fromEntries(medians.sort((a, b) => a[1] - b[1]));
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
