/** One random history: a cluster that settles, faults at random, and then peace, after which it must be well again. */
import type { Rules } from '../rules.ts';
import type { Settings } from '../types.ts';
import { applyFault, drawFault, type Fault, type FaultKind } from './faults.ts';
import { World } from './world.ts';

/** Everything that a history is made from: the same plan is always the same history. */
export interface Plan {
  seed: number;
  instances: number;
  settings: Partial<Settings>;
  faults: Fault[];
}

export interface History {
  plan: Plan;
  /** What was done to the cluster, and when. */
  told: string[];
  violations: string[];
  acknowledgements: number;
  takes: number;
  steps: number;
  /** Milliseconds that passed in the world. */
  lasted: number;
  world: World;
}

export interface PlayOptions {
  /** For tests that take a rule away. */
  rules?: Partial<Rules>;
  noGuard?: boolean;
  /** Watch that the machine changes nothing that it was given. */
  pure?: boolean;
  /** Keep notes of everything that happens. */
  loud?: boolean;
}

/** In peace, a cluster must be well again within this long. */
const SETTLE_MS = 90_000;
const START_MS = 30_000;
const MAX_FAULTS = 5;
const SIZES: readonly number[] = [2, 3, 3, 3, 4, 5];

/** A number from 0 to 1 for each call, from a seed. */
function randomFrom(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b1) | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface DrawOptions {
  sizes?: readonly number[];
  /** Only faults of these kinds. */
  kinds?: readonly FaultKind[];
  /** Instead of settings that are drawn. */
  settings?: Partial<Settings>;
  faults?: number;
}

/** Draws the plan of a seed: the size of the cluster, its commit rule, and what happens to it. */
export function draw(seed: number, options: DrawOptions = {}): Plan {
  const { sizes = SIZES, kinds } = options;
  const random = randomFrom(seed);
  const instances = sizes[Math.floor(random() * sizes.length)]!;
  const which = random();
  const method = random() < 0.7 ? ('any' as const) : ('first' as const);
  const number = instances > 3 && random() < 0.5 ? 2 : 1;
  const settings: Partial<Settings> =
    which < 0.65
      ? { sync: { method, number, required: true } }
      : which < 0.75
        ? { sync: { method, number, required: false } }
        : random() < 0.5
          ? { maximumLagBytes: 640n }
          : {};
  const count = 1 + Math.floor(random() * MAX_FAULTS);
  const faults = Array.from({ length: options.faults ?? count }, () => drawFault(random, instances, kinds));
  return { seed, instances, settings: options.settings ?? settings, faults };
}

/** Plays a plan to its end, or to the first violation. */
export function play(plan: Plan, options: PlayOptions = {}): History {
  const { seed, instances, settings } = plan;
  const world = new World({
    seed,
    instances,
    settings,
    settled: true,
    ...(options.rules ? { rules: options.rules } : {}),
    ...(options.noGuard ? { noGuard: true } : {}),
  });
  world.quiet = options.loud !== true;
  world.pure = options.pure === true;
  for (const each of world.instances.values()) each.clocks.rate = world.between(0.99, 1.01);
  waitFor(world, START_MS);
  for (const each of world.instances.values()) each.hasRunForLong();
  world.startWriting(50, 200);
  world.run(300);
  const told: string[] = [];
  for (const fault of plan.faults) {
    world.run(fault.after);
    if (world.violations.length > 0) break;
    const done = applyFault(world, fault);
    if (done) told.push(done);
  }
  const longest = Math.max(0, ...plan.faults.map((fault) => fault.ms));
  world.run(Math.min(2 * longest, 12_000));
  peace(world);
  waitFor(world, SETTLE_MS);
  if (world.violations.length === 0) world.run(1_500);
  if (world.violations.length === 0 && !world.settled()) waitFor(world, SETTLE_MS);
  const { acknowledgements, takes, steps } = world.watchdog;
  return {
    plan,
    told,
    violations: [...world.violations],
    acknowledgements,
    takes,
    steps,
    lasted: world.time,
    world,
  };
}

function waitFor(world: World, limitMs: number): void {
  const end = world.time + limitMs;
  while (!world.settled() && world.violations.length === 0) {
    if (world.time >= end) world.watchdog.notSettled(limitMs);
    else world.run(100);
  }
}

/** All faults end, and nobody wishes anything any more. */
function peace(world: World): void {
  world.heal();
  world.api.up = true;
  world.api.operatorUp = true;
  world.api.slowest = 3;
  world.api.lostAnswers = 0;
  world.network.loss = 0;
  world.network.slowest = 3;
  world.settingsChanged({ fenced: [], maintenance: false, priorities: {} });
  for (const each of world.instances.values()) {
    if (each.standsStill || each.databaseFrozen) each.thaw();
    if (!each.alive) each.returnNode();
  }
}

/** Leaves out of a plan whatever the violation does not need. */
export function shorten(plan: Plan, options: PlayOptions = {}): History {
  const kind = (history: History) =>
    history.violations[0]?.replace(/^\d+: /, '').replace(/demo-\d+|\d+/g, '#');
  let best = play(plan, options);
  const wanted = kind(best);
  for (let again = true; again; ) {
    again = false;
    for (let i = 0; i < best.plan.faults.length && !again; i++) {
      const faults = best.plan.faults.filter((_, at) => at !== i);
      // What follows comes no sooner, or as soon as it would without.
      for (const shift of [best.plan.faults[i]!.after, 0]) {
        const shifted = faults.map((fault, at) =>
          at === i ? { ...fault, after: fault.after + shift } : fault,
        );
        const tried = play({ ...best.plan, faults: shifted }, options);
        if (kind(tried) !== wanted) continue;
        best = tried;
        again = true;
        break;
      }
    }
  }
  return play(best.plan, { ...options, loud: true });
}
