/** `npm run e2e -- --conformance`: the table alone, row by row. */
import type { RunOptions } from '../runner.ts';
import { joinWorld, startLocalWorld } from '../world.ts';
import { type ConformanceTotals, exceptions, fullTable, totalsOf } from './report.ts';
import { runConformance } from './run.ts';

export async function runConformanceOnly(options: RunOptions): Promise<ConformanceTotals> {
  const { kubeconfig } = options;
  const world = await (kubeconfig
    ? joinWorld({ ...options, kubeconfig }, true)
    : startLocalWorld('conformance'));
  try {
    const results = await runConformance({
      config: world.client.config,
      namespace: `pgherd-conformance-${Math.random().toString(36).slice(2, 6)}`,
      image: world.image('postgresql'),
    });
    for (const line of [...fullTable(results), '', ...exceptions(results)]) console.log(line);
    return totalsOf(results);
  } finally {
    await world.stop();
  }
}
