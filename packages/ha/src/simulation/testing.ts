/** For tests: clusters that have settled, and how long nothing was acknowledged. */
import assert from 'node:assert/strict';
import { World, type WorldOptions } from './world.ts';

/** A cluster that has settled, and a client that writes to whatever -rw points at. */
export function cluster(options: WorldOptions): World {
  const world = new World(options);
  world.until(() => world.settled(), 20_000, 'the cluster settles');
  for (const each of world.instances.values()) each.hasRunForLong();
  world.startWriting(10, 10);
  world.run(3_000);
  return world;
}

/** The time until something was acknowledged again after `since`. */
export function outage(world: World, since: number): number {
  const next = world.watchdog.acked.find(({ at }) => at > since);
  return next ? next.at - since : Number.POSITIVE_INFINITY;
}

/** The cluster is well in the end, and nothing was violated on the way. */
export function ends(world: World, limitMs = 30_000): void {
  world.until(() => world.settled(), limitMs, 'one primary, and all others stream from it');
  world.run(3_000);
  assert.deepEqual(world.violations, []);
  assert.ok(world.settled(), world.picture());
}
