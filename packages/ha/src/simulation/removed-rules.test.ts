/** The check can fail: without a rule, the harm that it prevents is found. With it, the same faults do none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RULES } from '../rules.ts';
import { draw, play } from './history.ts';
import { HUNTS } from './hunts.ts';
import { CAUTIONS } from './removals.ts';
import { STORIES } from './stories.ts';
import { World, type WorldOptions } from './world.ts';

/** So many random histories must be enough to find the harm. */
const ENOUGH = 400;

test('every rule is accounted for', () => {
  const known = [...Object.keys(HUNTS), ...Object.keys(STORIES), ...Object.keys(CAUTIONS)];
  assert.deepEqual(
    known.sort(),
    Object.keys(RULES)
      .filter((name) => name !== 'opening')
      .sort(),
  );
});

for (const [rule, hunt] of Object.entries(HUNTS)) {
  test(`without ${rule} random histories find the harm, and with it there is none`, () => {
    const noGuard = hunt.noGuard === true;
    for (let seed = 1; seed <= ENOUGH; seed++) {
      const plan = draw(seed, hunt);
      const { violations } = play(plan, { rules: hunt.without, noGuard });
      if (!violations[0] || !hunt.harm.test(violations[0])) continue;
      assert.deepEqual(play(plan, { noGuard }).violations, []);
      return;
    }
    assert.fail(`no harm found in ${ENOUGH} histories`);
  });
}

function settledCluster(options: WorldOptions): World {
  const world = new World({ seed: 1, ...options });
  world.until(() => world.settled(), 20_000, 'the cluster settles');
  for (const each of world.instances.values()) each.hasRunForLong();
  world.startWriting(10, 10);
  world.run(3_000);
  return world;
}

for (const [rule, { without, options, harm, faults }] of Object.entries(STORIES)) {
  test(`without ${rule} the harm is found`, () => {
    const world = settledCluster({ ...options, rules: without });
    faults(world);
    assert.match(world.violations.join('\n'), harm, world.notes.slice(-20).join('\n'));
  });
  test(`with ${rule} there is none`, () => {
    const world = settledCluster(options);
    faults(world);
    assert.deepEqual(world.violations, [], world.notes.slice(-40).join('\n'));
  });
}
