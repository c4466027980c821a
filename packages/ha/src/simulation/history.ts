/** One random history: a cluster that settles, faults at random for a while, and then peace. */
import type { SimInstance } from './instance.ts';
import { World, type WorldOptions } from './world.ts';

export interface History {
  seed: number;
  /** What was done to the cluster, and when. */
  faults: string[];
  violations: string[];
  /** Milliseconds from the last fault to one primary that all others follow; undefined: not within the bound. */
  settledAfter: number | undefined;
  acked: number;
  world: World;
}

const SETTLE_MS = 120_000;

type Fault = (world: World, victim: SimInstance) => string | undefined;

const FAULTS: readonly Fault[] = [
  (_, victim) => {
    if (victim.database.process !== 'running') return undefined;
    victim.killPostmaster();
    return 'postmaster killed';
  },
  (world, victim) => {
    if (!victim.alive) return undefined;
    victim.killPod(world.between(200, 12_000));
    return 'pod killed';
  },
  (world, victim) => {
    world.isolate(victim.name);
    world.after(world.between(500, 20_000), () => world.heal(victim.name));
    return 'isolated';
  },
  (world, victim) => {
    if (!victim.alive) return undefined;
    victim.frozen = true;
    world.after(world.between(500, 7_000), () => victim.thaw());
    return 'manager frozen';
  },
  (world) => {
    world.apiUp = false;
    world.after(world.between(500, 15_000), () => {
      world.apiUp = true;
    });
    return 'API away';
  },
  (world, victim) => {
    const from = world.leader()?.name;
    if (!from) return undefined;
    world.settingsChanged({ switchover: { id: `at ${world.time}`, from, to: victim.name } });
    return 'switchover asked';
  },
  (world, victim) => {
    if (!victim.alive || victim.podDeleting) return undefined;
    victim.terminate();
    world.after(world.between(3_000, 12_000), () => {
      if (victim.alive && victim.exited === undefined) victim.killPod(undefined);
      victim.newPod();
    });
    return 'pod stopped, and made anew';
  },
];

/** Plays the history of a seed. `loseVolumes`: a volume may be emptied too (only one at a time is survivable). */
export function play(seed: number, options: WorldOptions = {}, minutes = 1): History {
  const world = new World({ ...options, seed });
  const faults: string[] = [];
  world.until(() => world.settled(), 30_000, 'the cluster settles');
  const write = () => {
    if (world.rw.instance) world.get(world.rw.instance).database.write();
    world.after(world.between(20, 60), write);
  };
  write();
  const names = [...world.instances.keys()];
  const end = world.time + minutes * 60_000;
  while (world.time < end && world.violations.length === 0) {
    world.run(world.between(100, 12_000));
    // The leader is the most interesting victim.
    const leader = world.leader();
    const victim =
      leader && world.random() < 0.5 ? leader : world.get(names[Math.floor(world.random() * names.length)]!);
    const done = FAULTS[Math.floor(world.random() * FAULTS.length)]!(world, victim);
    if (done) faults.push(`${world.time.toFixed(0)} ${victim.name}: ${done}`);
  }
  world.run(25_000);
  let settledAfter: number | undefined;
  try {
    settledAfter = world.until(() => world.settled(), SETTLE_MS);
  } catch {
    settledAfter = undefined;
  }
  return { seed, faults, violations: [...world.violations], settledAfter, acked: world.acked.length, world };
}
