/** The check can fail: without a rule, the harm that it prevents is found. With it, the same faults do none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Rules } from '../rules.ts';
import { yes } from '../types.ts';
import { append } from './wal.ts';
import { World, type WorldOptions } from './world.ts';

const REQUIRED: WorldOptions = { settings: { sync: { method: 'any', number: 1, required: true } } };
/** The guard would hide what the manager does wrong. */
const NO_GUARD: WorldOptions = { noGuard: true };

function settledCluster(options: WorldOptions): World {
  const world = new World({ seed: 1, ...options });
  world.until(() => world.settled(), 20_000, 'the cluster settles');
  world.startWriting(10, 10);
  world.run(3_000);
  return world;
}

interface Case {
  rule: keyof Rules;
  without: Partial<Rules>;
  options: WorldOptions;
  harm: RegExp;
  faults(world: World): void;
}

const CASES: Case[] = [
  {
    rule: 'leadershipHolds',
    without: { leadershipHolds: () => true },
    options: NO_GUARD,
    harm: /two primaries acknowledge/,
    faults(world) {
      world.isolate('demo-1');
      world.run(20_000);
    },
  },
  {
    rule: 'isSilent',
    without: { isSilent: () => true },
    options: {},
    harm: /two primaries acknowledge/,
    faults(world) {
      world.isolate('demo-1');
      world.run(20_000);
    },
  },
  {
    rule: 'isCertainlyDead',
    without: { isCertainlyDead: (_, pods) => pods.some((pod) => pod.deleting) },
    options: {},
    harm: /two primaries acknowledge/,
    faults(world) {
      // Deleted by force, while its node is cut off: it goes on.
      world.isolate('demo-1');
      world.get('demo-1').podDeleting = true;
      world.podsChanged();
      world.run(5_000);
    },
  },
  {
    rule: 'quorumAnswered',
    without: { quorumAnswered: () => yes },
    options: REQUIRED,
    harm: /leads without \d+ acknowledged records/,
    faults(world) {
      world.isolate('demo-3');
      world.run(500);
      world.get('demo-1').loseNode();
      world.get('demo-2').loseNode();
      world.heal('demo-3');
      world.run(20_000);
    },
  },
  {
    rule: 'nobodyAhead',
    without: { nobodyAhead: () => yes },
    options: REQUIRED,
    harm: /leads without \d+ acknowledged records/,
    faults(world) {
      // demo-2 lags while demo-3 acknowledges; then all but the old leader are there.
      world.isolate('demo-2');
      world.run(500);
      world.get('demo-1').killPod(undefined);
      world.get('demo-3').database.follow(undefined, '');
      world.run(30);
      world.heal('demo-2');
      world.isolateFromApi('demo-3');
      world.run(15_000);
    },
  },
  {
    rule: 'historyIsTheLeaders',
    without: { historyIsTheLeaders: () => true },
    options: REQUIRED,
    harm: /leads without \d+ acknowledged records/,
    faults(world) {
      // The old leader wrote what nobody got, and comes back with it.
      const old = world.get('demo-1');
      world.isolate('demo-1');
      world.run(100);
      old.killPod(undefined);
      for (let n = 0; n < 200; n++)
        old.database.wal = append(old.database.wal, world.newRecord(), old.database.timeline);
      world.until(() => world.leader()?.name === 'demo-2', 15_000);
      world.isolate('demo-3');
      world.heal('demo-1');
      old.startContainer();
      world.until(() => old.database.attached, 2_000);
      world.run(100);
      world.get('demo-2').loseNode();
      world.heal('demo-3');
      world.run(25_000);
    },
  },
];

for (const { rule, without, options, harm, faults } of CASES) {
  test(`without ${rule} the harm is found`, () => {
    const world = settledCluster({ ...options, rules: without });
    faults(world);
    assert.match(world.violations.join('\n'), harm, world.notes.slice(-20).join('\n'));
  });
  test(`with ${rule} there is none`, () => {
    const world = settledCluster(options);
    faults(world);
    assert.deepEqual(world.violations, []);
  });
}
