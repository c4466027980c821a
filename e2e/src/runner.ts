/** Runs scenarios one after the other, each in a namespace of its own, and tells what came of them. */
import { type KubeObject, kinds } from '@pgherd/kube';
import { report } from './failure-report.ts';
import type { Scenario } from './scenario.ts';
import { Stage } from './stage.ts';
import { joinWorld, startLocalWorld, type World } from './world.ts';

export interface RunOptions {
  kubeconfig?: string;
  context?: string;
}

export interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

const TIMEOUT_MS = 180_000;

/** Runs them all; a failure is reported and does not keep the next one from running. */
export async function runScenarios(scenarios: Scenario[], options: RunOptions): Promise<Totals> {
  const totals: Totals = { passed: 0, failed: 0, skipped: 0 };
  let shared: World | undefined;
  for (const scenario of scenarios) {
    if (options.kubeconfig && scenario.needs) {
      console.log(`skip ${scenario.name}: only local mode can do this`);
      totals.skipped += 1;
      continue;
    }
    try {
      if (scenario.needs === 'own') {
        const own = await startLocalWorld('own');
        try {
          await runOne(scenario, own);
        } finally {
          await own.stop();
        }
      } else {
        shared ??= options.kubeconfig
          ? await joinWorld(options.kubeconfig, options.context)
          : await startLocalWorld('e2e');
        await runOne(scenario, shared);
      }
      totals.passed += 1;
    } catch (error) {
      totals.failed += 1;
      if (!(error instanceof Reported)) console.log(`FAIL ${scenario.name}: ${(error as Error).stack}`);
    }
  }
  await shared?.stop();
  return totals;
}

/** A failure that has been told already. */
class Reported extends Error {}

async function runOne(scenario: Scenario, world: World): Promise<void> {
  const namespace = `e2e-${scenario.name}-${Math.random().toString(36).slice(2, 6)}`;
  const stage = new Stage(world, namespace);
  const started = performance.now();
  const seconds = () => `${((performance.now() - started) / 1000).toFixed(1)} s`;
  try {
    await world.client.create(kinds.Namespace, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace },
    } as KubeObject);
    await within(scenario.run(stage), scenario.timeoutMs ?? TIMEOUT_MS);
    const { verdict } = stage;
    const measured = verdict
      ? `write outage ${(verdict.outageMs / 1000).toFixed(2)} s, 0 of ${verdict.acknowledged} acknowledged writes missing`
      : '';
    console.log(
      `ok   ${scenario.name} (${seconds()}): ${[measured, ...stage.notes].filter(Boolean).join('; ')}`,
    );
  } catch (error) {
    console.log(`FAIL ${scenario.name} (${seconds()}): ${scenario.title}`);
    console.log(indent((error as Error).stack ?? String(error)));
    const folder = await report(stage, scenario.name);
    console.log(`     What was found is in ${folder}`);
    throw new Reported();
  } finally {
    await stage.end();
    await world.client.delete(kinds.Namespace, { name: namespace }).catch(() => {});
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

function indent(text: string): string {
  return text
    .split('\n')
    .map((line) => `     ${line}`)
    .join('\n');
}
