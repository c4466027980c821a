/** A sample of random histories: nothing acknowledged is lost, nobody leads beside another, and peace brings one primary back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { draw, play, shorten } from './history.ts';

/** `npm run simulate` plays more. */
const HISTORIES = 150;

test(`${HISTORIES} random histories`, () => {
  for (let seed = 1; seed <= HISTORIES; seed++) {
    const plan = draw(seed);
    const history = play(plan);
    if (history.violations.length === 0) {
      assert.ok(history.acknowledgements > 0, `seed ${seed}: nothing was acknowledged`);
      continue;
    }
    const { told, violations, world } = shorten(plan);
    assert.fail([`seed ${seed}`, ...told, ...violations, ...world.notes, world.picture()].join('\n'));
  }
});

test('the same seed is the same history', () => {
  const [a, b] = [play(draw(7)), play(draw(7))];
  assert.deepEqual(
    [a.told, a.steps, a.lasted, a.acknowledgements],
    [b.told, b.steps, b.lasted, b.acknowledgements],
  );
});

test('the machine changes nothing that it was given', () => {
  for (let seed = 1; seed <= 10; seed++)
    assert.deepEqual(play(draw(seed), { pure: true }).violations, [], `seed ${seed}`);
});
