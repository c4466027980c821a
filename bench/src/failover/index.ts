/** Failovers beside Patroni: the same faults, the same writer, the same machine, one run. */
import { loadavg } from 'node:os';
import { ensureDebianPackages } from '../../../scripts/lib/setup.mjs';
import type { Measurement, MeasurementOptions } from '../measurement.ts';
import { PatroniSystem } from './patroni/patroni.ts';
import { PgherdSystem } from './pgherd.ts';
import { type Row, rows } from './rows.ts';
import type { System, SystemName } from './system.ts';
import { type Found, heldLines, summarise, tableOf } from './table.ts';
import { tryFault } from './trial.ts';

const RUNS = 5;
/** Many kills of one pod in a row would measure the kubelet's back-off: it forgets after a while. */
const REST_MS = 5_000;

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

/** Everything that has been started and not ended. */
const started = new Set<System>();

/** Ends what an interrupted measurement left. */
export async function stopSystems(): Promise<void> {
  await Promise.allSettled([...started].map((system) => system.stop()));
  started.clear();
}

export const failover: Measurement = async ({ runs = RUNS, only = [], systems = [], say }) => {
  const wanted = rows.filter(
    (row) => only.length === 0 || only.includes(row.name) || only.includes(row.fault),
  );
  const names = (Object.keys(makers) as SystemName[]).filter(
    (name) => systems.length === 0 || systems.includes(name),
  );
  if (wanted.length === 0 || names.length === 0)
    throw new Error(`nothing to measure: faults are ${rows.map((row) => row.name).join(', ')}`);
  if (names.some((name) => name.startsWith('patroni'))) ensureDebianPackages(PEER_PACKAGES);
  const found: Found = new Map(wanted.map((row) => [row.name, {}]));
  const load = loadavg()[0] ?? 0;
  try {
    const running = await startAll(names, say);
    await measureAll(running, wanted, { runs, say, found });
  } finally {
    await stopSystems();
  }
  return outcome(wanted, found, { runs, load });
};

async function startAll(names: SystemName[], say: MeasurementOptions['say']): Promise<System[]> {
  const running: System[] = [];
  for (const name of names) {
    say(`Starting ${name}`);
    const system = makers[name]();
    started.add(system);
    await system.start();
    running.push(system);
  }
  return running;
}

interface Work {
  runs: number;
  say: MeasurementOptions['say'];
  found: Found;
}

/** Quick faults one after the other; slow ones on all systems at once. */
async function measureAll(running: System[], wanted: Row[], work: Work): Promise<void> {
  for (const mode of ['sync', 'async'] as const) {
    const ofMode = wanted.filter((row) => row.mode === mode);
    if (ofMode.length === 0) continue;
    await Promise.all(running.map((system) => system.prepare(mode)));
    for (const system of running)
      await measure(
        system,
        ofMode.filter((row) => !row.slow),
        work,
      );
    await Promise.all(
      running.map((system) =>
        measure(
          system,
          ofMode.filter((row) => row.slow),
          work,
        ),
      ),
    );
  }
}

async function measure(system: System, ofSystem: Row[], { runs, say, found }: Work): Promise<void> {
  for (const row of ofSystem.filter((each) => system.faults[each.fault])) {
    for (let run = 1; run <= runs; run++) {
      const trials = found.get(row.name) ?? {};
      try {
        const trial = await tryFault(system, row);
        trials[system.name] = [...(trials[system.name] ?? []), trial];
        const lost = trial.lost + (trial.held?.lost ?? 0);
        say(
          `${system.name}, ${row.name}, run ${run}: ${(trial.outageMs / 1000).toFixed(2)} s, ${lost} of ${trial.acknowledged} lost`,
        );
      } catch (error) {
        say(`${system.name}, ${row.name}, run ${run} FAILED: ${(error as Error).message}`);
        await system.settled();
      }
      if (run < runs) await new Promise((resolve) => setTimeout(resolve, REST_MS));
    }
  }
}

function outcome(wanted: Row[], found: Found, about: { runs: number; load: number }) {
  const lines = [
    `Write outage, median of ${about.runs} ${about.runs === 1 ? 'run' : 'runs'} (load of the machine before: ${about.load.toFixed(1)}):`,
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
  return { result: { ...about, rows: result }, lines };
}
