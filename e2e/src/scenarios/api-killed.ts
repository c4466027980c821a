import assert from 'node:assert/strict';
import { waitFor } from '@pgherd/cli';
import { status } from '@pgherd/local';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';

/** How long the API is kept away: whenever it comes back earlier, it is killed again. */
const AWAY_MS = 3_000;
/** After this the primary would have given up, had it not renewed its Lease. */
const WATCHED_WRITES = 1_500;

export const apiKilled: Scenario = {
  name: 'api-killed',
  title: 'the Kubernetes API is killed with SIGKILL and is back within 4 s',
  needs: 'own',
  because: 'kills the API server, which is not ours to kill',
  async run(stage) {
    await stage.createCluster();
    const writer = await stage.startWriter({ place: 'host' });
    const primary = await stage.primary();
    const before = await stage.startTimes();
    const since = stage.now();
    await keepApiDown(stage, AWAY_MS);
    await waitFor(async () => (await stage.leader()) !== undefined, {
      timeoutMs: 5_000,
      everyMs: 50,
      describe: () => 'the API is away',
    });
    stage.note(`the API was away for ${((stage.now() - since) / 1000).toFixed(1)} s`);
    await stage.written(writer, WATCHED_WRITES);
    assert.equal(await stage.primary(), primary, 'there must be no failover');
    assert.deepEqual(await stage.startTimes(), before, 'no PostgreSQL may have been restarted');
    await stage.ready();
    await stage.check(writer, since, 1_000);
  },
};

async function keepApiDown(stage: Stage, ms: number): Promise<void> {
  const end = performance.now() + ms;
  while (performance.now() < end) {
    const { components } = await status({ state: stage.world.state });
    const pid = components.find((each) => each.name === 'api')?.pid;
    if (pid) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It is gone already: the next look finds its successor.
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
