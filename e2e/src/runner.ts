/** Runs scenarios and tells what came of them. */
import { report } from './failure-report.ts';
import { Namespaces } from './namespaces.ts';
import type { Scenario } from './scenario.ts';
import { Stage } from './stage.ts';
import { joinWorld, startLocalWorld, type World } from './world.ts';

export interface RunOptions {
  kubeconfig?: string;
  context?: string;
  storageClass?: string;
  imageRegistry?: string;
  /** All scenarios are run, not only some. */
  complete?: boolean;
}

export interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

interface Outcome {
  scenario: string;
  result: 'passed' | 'failed' | 'skipped';
  seconds: number;
  /** What was measured, why it was skipped, or how it failed, in one line. */
  note: string;
}

/** How many scenarios run at the same time, of those that may. */
const ALONGSIDE = 3;
const TIMEOUT_MS = 180_000;

/**
 * Runs them all; a failure is reported and does not keep the next one from running. Those that may run alongside
 * others come first, the rest follows one by one in its order.
 */
export async function runScenarios(scenarios: Scenario[], options: RunOptions): Promise<Totals> {
  const outcomes: Outcome[] = [];
  const { kubeconfig } = options;
  const shared = lazily(async () =>
    placeIn(await (kubeconfig ? joinWorld({ ...options, kubeconfig }) : startLocalWorld('e2e'))),
  );
  const runFrom = async (waiting: Scenario[]): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift())
      outcomes.push(kubeconfig && next.needs ? skipped(next) : await inItsWorld(next, shared.get, options));
  };
  const alongside = scenarios.filter((each) => each.alongside);
  await Promise.all(Array.from({ length: ALONGSIDE }, () => runFrom(alongside)));
  await runFrom(scenarios.filter((each) => !each.alongside));
  await shared.end();
  for (const line of table(outcomes)) console.log(line);
  const count = (wanted: Outcome['result']) => outcomes.filter(({ result }) => result === wanted).length;
  return { passed: count('passed'), failed: count('failed'), skipped: count('skipped') };
}

function skipped({ name, because }: Scenario): Outcome {
  const note = because ?? 'only local mode can do this';
  console.log(`skip ${name}: ${note}`);
  return { scenario: name, result: 'skipped', seconds: 0, note };
}

/** A world, and the namespaces that scenarios have in it. */
interface Place {
  world: World;
  namespaces: Namespaces;
}

function placeIn(world: World): Place {
  return { world, namespaces: new Namespaces(world) };
}

async function leave({ world, namespaces }: Place): Promise<void> {
  await namespaces.end();
  await world.stop();
}

function lazily(make: () => Promise<Place>): { get(): Promise<Place>; end(): Promise<void> } {
  let place: Promise<Place> | undefined;
  return {
    get() {
      place ??= make();
      return place;
    },
    async end() {
      const made = await place?.catch(() => undefined);
      if (made) await leave(made);
    },
  };
}

async function inItsWorld(
  scenario: Scenario,
  shared: () => Promise<Place>,
  options: RunOptions,
): Promise<Outcome> {
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  try {
    if (scenario.needs !== 'own') return await runOne(scenario, await shared(), options);
    const own = placeIn(await startLocalWorld('own', scenario.nodes));
    try {
      return await runOne(scenario, own, options);
    } finally {
      await leave(own);
    }
  } catch (error) {
    console.log(`FAIL ${scenario.name}: ${(error as Error).stack}`);
    return { scenario: scenario.name, result: 'failed', seconds: seconds(), note: firstLine(error) };
  }
}

async function runOne(
  scenario: Scenario,
  { world, namespaces }: Place,
  options: RunOptions,
): Promise<Outcome> {
  const namespace = await namespaces.open(scenario);
  const stage = new Stage(world, namespace);
  stage.complete = options.complete === true;
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  const told = () => `(${seconds().toFixed(1)} s)`;
  const allowed = stage.patience(scenario.timeoutMs ?? TIMEOUT_MS);
  let passed = false;
  try {
    await within(scenario.run(stage), allowed);
    passed = true;
    const { verdict } = stage;
    const measured = verdict
      ? `write outage ${(verdict.outageMs / 1000).toFixed(2)} s, 0 of ${verdict.acknowledged} acknowledged writes missing`
      : '';
    const note = [measured, ...stage.notes].filter(Boolean).join('; ');
    console.log(`ok   ${scenario.name} ${told()}: ${note}`);
    return { scenario: scenario.name, result: 'passed', seconds: seconds(), note };
  } catch (error) {
    console.log(`FAIL ${scenario.name} ${told()}: ${scenario.title}`);
    console.log(indent((error as Error).stack ?? String(error)));
    const folder = await report(stage, scenario.name);
    console.log(`     What was found is in ${folder}`);
    return { scenario: scenario.name, result: 'failed', seconds: seconds(), note: firstLine(error) };
  } finally {
    await stage.end();
    await namespaces.close(namespace, passed);
  }
}

async function within<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`the scenario did not end within ${timeoutMs / 1000} s`)),
      timeoutMs,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
}

function indent(text: string): string {
  return text
    .split('\n')
    .map((line) => `     ${line}`)
    .join('\n');
}

function table(outcomes: Outcome[]): string[] {
  const width = Math.max(8, ...outcomes.map(({ scenario }) => scenario.length));
  const lines = outcomes.map(({ scenario, result, seconds, note }) =>
    `${scenario.padEnd(width)}  ${result.padEnd(7)}  ${seconds.toFixed(1).padStart(7)}  ${note}`.trimEnd(),
  );
  return ['', `${'scenario'.padEnd(width)}  result   seconds`, ...lines];
}
