import assert from 'node:assert/strict';
import { waitFor } from '@pgherd/cli';
import { takeApiAway } from '../faults.ts';
import type { Scenario } from '../scenario.ts';

/** Shorter than the defaults, so that an outage of the API soon exceeds them; seconds. */
const LEASE = { renewInterval: 0.5, stopAfter: 2, guardAfter: 3, takeAfter: 4 };
/** At one write every 5 ms and what a write takes: for longer than a primary without grants would go on. */
const WRITES = 1_000;

export const apiAway: Scenario = {
  name: 'api-away',
  title: 'the Kubernetes API is away for longer than any Lease lasts, and nothing else is wrong',
  needs: 'own',
  because: 'it takes the API server away, which is not ours to take',
  async run(stage) {
    await stage.createCluster({ primaryLease: LEASE });
    const writer = await stage.startWriter({ place: 'host' });
    const primary = await stage.primary();
    const epoch = await stage.epoch();
    const before = await stage.startTimes();
    const since = stage.now();
    const bringBack = await takeApiAway(stage.world);
    const away = stage.now() + 2 * LEASE.takeAfter * 1000;
    await waitFor(async () => stage.now() > away, { timeoutMs: 60_000, describe: () => 'the API is away' });
    await stage.written(writer, 100);
    await bringBack();
    await stage.written(writer, WRITES);
    stage.note(`the API was away for ${(2 * LEASE.takeAfter).toFixed(0)} s`);
    await stage.ready();
    assert.equal(await stage.primary(), primary, 'there must be no failover');
    assert.equal(await stage.epoch(), epoch, 'leadership must not have been given up');
    assert.deepEqual(await stage.startTimes(), before, 'no PostgreSQL may have been restarted');
    await stage.check(writer, since, 1_000);
  },
};
