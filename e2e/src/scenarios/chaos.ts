import assert from 'node:assert/strict';
import { NODES, runChaos } from '../chaos/run.ts';
import type { Scenario } from '../scenario.ts';

/** Episodes begin for so long; the last one is played to its end. */
const LASTS_MS = 20_000;
/** A seed whose first episodes are short. Any other must pass as well: `npm run chaos`. */
const SEED = 11;

export const chaos: Scenario = {
  name: 'chaos',
  title: 'several faults at a time, from a seed, with writers and readers',
  needs: 'own',
  because: 'it breaks nodes, disks and the API server',
  nodes: NODES,
  timeoutMs: 300_000,
  async run(stage) {
    const told: string[] = [];
    const result = await runChaos(stage, {
      seed: SEED,
      lastsMs: LASTS_MS,
      mode: 'sync',
      say: (text) => told.push(text),
    });
    assert.deepEqual(result.violations, [], told.join('\n'));
    const faults = Object.keys(result.faults).join(', ');
    stage.note(
      `${result.episodes} episodes (${faults}), 0 of ${result.acknowledged} acknowledged writes missing, ${result.reads} reads, ${result.staleReads} stale`,
    );
  },
};
