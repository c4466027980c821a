/** Random histories: nothing acknowledged is lost, nobody leads beside another, and peace brings one primary back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { play } from './history.ts';
import type { WorldOptions } from './world.ts';

const required = (number: number) => ({ sync: { method: 'any' as const, number, required: true } });

const CLUSTERS: [string, WorldOptions, number][] = [
  ['three instances, any 1 required', { settings: required(1) }, 10],
  ['three instances, asynchronous', {}, 10],
  ['two instances, any 1 required', { instances: 2, settings: required(1) }, 5],
  ['five instances, any 2 required', { instances: 5, settings: required(2) }, 5],
];

for (const [name, options, count] of CLUSTERS)
  for (let seed = 1; seed <= count; seed++)
    test(`${name}, seed ${seed}`, () => {
      const history = play(seed, options);
      const told = `${history.faults.join('\n')}\n${history.world.picture()}`;
      assert.deepEqual(history.violations, [], told);
      assert.notEqual(history.settledAfter, undefined, told);
      assert.ok(history.acked > 50, told);
    });
