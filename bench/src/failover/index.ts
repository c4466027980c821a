/** Failovers beside Patroni: the same faults, the same writer, the same machine, one run. */
import { loadavg } from 'node:os';
import { ensureDebianPackages } from '../../../scripts/lib/setup.mjs';
import type { Measurement, Outcome } from '../measurement.ts';
import { Lane } from './lane.ts';
import { PatroniSystem } from './patroni/patroni.ts';
import { PgherdSystem } from './pgherd.ts';
import { type Row, rows } from './rows.ts';
import { readSaved, save } from './saved.ts';
import type { Mode, System, SystemName } from './system.ts';
import { type Found, heldLines, summarise, tableOf } from './table.ts';
import { Turns } from './turns.ts';

const RUNS = 5;

/** Only this measurement needs them: they are not among what pgherd needs. */
const PEER_PACKAGES = [
  { name: 'etcd-server', proof: '/usr/bin/etcd' },
  { name: 'patroni', proof: '/usr/bin/patroni' },
  { name: 'python3-etcd', proof: '/usr/lib/python3/dist-packages/etcd/__init__.py' },
];

const makers: Record<SystemName, () => System> = {
  pgherd: () => new PgherdSystem(),
  'patroni-tuned': () => new PatroniSystem('tuned'),
  'patroni-default': () => new PatroniSystem('default'),
};

let lanes: Lane[] = [];

/** Ends what an interrupted measurement left. */
export async function stopSystems(): Promise<void> {
  await Promise.allSettled(lanes.map((lane) => lane.stop()));
  lanes = [];
}

export const failover: Measurement = async (options) => {
  const { runs = RUNS, minutes = Number.POSITIVE_INFINITY, only = [], systems = [], file, say } = options;
  const wanted = rows.filter(
    (row) => only.length === 0 || only.includes(row.name) || only.includes(row.fault),
  );
  const names = (Object.keys(makers) as SystemName[]).filter(
    (name) => systems.length === 0 || systems.includes(name),
  );
  if (wanted.length === 0 || names.length === 0)
    throw new Error(`nothing to measure: faults are ${rows.map((row) => row.name).join(', ')}`);
  if (names.some((name) => name.startsWith('patroni'))) ensureDebianPackages(PEER_PACKAGES);
  const found: Found = file ? readSaved(file) : new Map();
  for (const row of wanted) if (!found.has(row.name)) found.set(row.name, {});
  const load = loadavg()[0] ?? 0;
  const soFar = () => outcome(wanted, found, load);
  options.partial?.(soFar);
  const turns = new Turns();
  lanes = names.map(
    (name) => new Lane(name, makers[name], { say, turns, trials: (row) => trialsOf(found, row) }),
  );
  try {
    for (const lane of lanes) {
      say(`Starting ${lane.name}`);
      await lane.start();
    }
    const began = performance.now();
    let longest = 0;
    for (let run = 1; run <= runs; run++) {
      const runBegan = performance.now();
      if (runBegan - began + longest > minutes * 60_000) {
        say(`Run ${run} would not end within ${minutes} minutes: it is left out`);
        break;
      }
      await oneRun(lanes, wanted, run, () => {
        if (file) save(file, found);
      });
      longest = Math.max(longest, performance.now() - runBegan);
      if (run < runs) say([`After ${run} of ${runs} runs:`, '', ...soFar().lines, ''].join('\n'));
    }
  } finally {
    await stopSystems();
  }
  return soFar();
};

function trialsOf(found: Found, row: Row) {
  const trials = found.get(row.name) ?? {};
  found.set(row.name, trials);
  return trials;
}

/**
 * Every row once. Rows that are decided by short times have the machine for themselves, one trial at a time; the
 * others are measured on all systems at once. Which kind of replication comes first changes from run to run.
 */
async function oneRun(all: Lane[], wanted: Row[], run: number, onTrial: () => void): Promise<void> {
  const modes: Mode[] = run % 2 === 1 ? ['sync', 'async'] : ['async', 'sync'];
  for (const mode of modes) {
    const ofMode = wanted.filter((row) => row.mode === mode);
    if (ofMode.length === 0) continue;
    await Promise.all(all.map((lane) => lane.prepare(mode)));
    for (const slow of [false, true]) {
      const part = ofMode.filter((row) => Boolean(row.slow) === slow);
      await Promise.all(all.map((lane) => lane.measure(part, run, onTrial)));
    }
  }
}

function outcome(wanted: Row[], found: Found, load: number): Outcome {
  const counts = [...found.values()].flatMap((trials) => Object.values(trials).map((each) => each.length));
  const runs = Math.max(0, ...counts);
  const lines = [
    `Write outage, median of ${runs} ${runs === 1 ? 'run' : 'runs'} (load of the machine before: ${load.toFixed(1)}):`,
    '',
    ...tableOf(wanted, found),
    '',
    ...heldLines(wanted, found),
  ];
  const result = Object.fromEntries(
    [...found].map(([name, trials]) => [
      name,
      Object.fromEntries(
        Object.entries(trials).map(([system, each]) => [system, { ...summarise(each), trials: each }]),
      ),
    ]),
  );
  return { result: { runs, load, rows: result }, lines };
}
