/** What can happen to a cluster. A fault is plain data, so that a history can be told, shortened and played again. */
import type { Settings } from '../types.ts';
import type { SimInstance } from './instance.ts';
import type { World } from './world.ts';

export interface Fault {
  /** Milliseconds after the fault before it. */
  after: number;
  kind: FaultKind;
  /** Whom it hits: an instance by its number, or whoever leads then. */
  victim: number | 'leader';
  /** How long it lasts, in milliseconds, where it lasts. */
  ms: number;
  /** Whatever else there is to choose, each from 0 to 1. */
  choice: [number, number];
}

type Apply = (world: World, victim: SimInstance, fault: Fault) => string | undefined;

/** Undefined: it could not be done as things were. */
const FAULTS = {
  postmasterKilled(_world, victim) {
    if (victim.database.process !== 'running' || victim.nodeFrozen) return undefined;
    victim.killPostmaster();
    return 'postmaster killed';
  },

  podKilled(_world, victim, { ms }) {
    if (!victim.alive) return undefined;
    victim.killPod(ms);
    return `pod killed, starts again after ${seconds(ms)}`;
  },

  managerKilled(world, victim, { ms }) {
    if (!victim.alive || victim.nodeFrozen) return undefined;
    victim.die();
    world.after(Math.min(ms, 500), () => {
      if (!victim.alive && victim.podExists) victim.startManager();
    });
    return 'manager killed; the guard starts it again';
  },

  nodeLost(world, victim, { ms }) {
    if (!victim.alive) return undefined;
    victim.loseNode();
    world.after(ms * 2, () => victim.returnNode());
    return `node lost without a word, for ${seconds(ms * 2)}`;
  },

  managerFrozen(world, victim, { ms }) {
    if (!victim.answers) return undefined;
    victim.freeze('frozen');
    world.after(ms, () => victim.thaw());
    return `manager frozen for ${seconds(ms)}`;
  },

  nodeFrozen(world, victim, { ms, choice: [suspend] }) {
    if (!victim.answers) return undefined;
    victim.freeze('nodeFrozen');
    world.after(ms * 1.5, () => {
      if (!victim.nodeFrozen) return;
      // A suspended machine's monotonic clock stood still.
      if (suspend < 0.5) victim.clocks.missed += ms * 1.5 * victim.clocks.rate;
      victim.thaw();
    });
    return `node frozen for ${seconds(ms * 1.5)}${suspend < 0.5 ? ', its monotonic clock too' : ''}`;
  },

  databaseFrozen(world, victim, { ms }) {
    if (!victim.answers || victim.database.process !== 'running') return undefined;
    victim.freeze('databaseFrozen');
    world.after(ms, () => {
      if (!victim.databaseFrozen) return;
      victim.databaseFrozen = false;
      victim.database.acknowledge();
    });
    return `PostgreSQL frozen for ${seconds(ms)}`;
  },

  isolated(world, victim, { ms }) {
    world.isolate(victim.name);
    world.after(ms, () => world.heal(victim.name));
    return `isolated for ${seconds(ms)}`;
  },

  isolatedFromApi(world, victim, { ms, choice: [both, way] }) {
    if (both < 0.5) world.isolateFromApi(victim.name);
    else if (way < 0.5) world.cut(victim.name, 'api');
    else world.cut('api', victim.name);
    world.after(ms, () => world.heal('api'));
    return `cut from the API (${both < 0.5 ? 'both ways' : way < 0.5 ? 'to it' : 'from it'}) for ${seconds(ms)}`;
  },

  linkCut(world, victim, { ms, choice: [other, way] }) {
    const names = [...world.instances.keys()].filter((name) => name !== victim.name);
    const peer = names[Math.floor(other * names.length)]!;
    if (way < 0.6) world.cut(victim.name, peer);
    if (way > 0.3) world.cut(peer, victim.name);
    world.after(ms, () => {
      world.heal(victim.name);
    });
    return `link to ${peer} cut (${way < 0.3 ? 'to it' : way > 0.6 ? 'from it' : 'both ways'}) for ${seconds(ms)}`;
  },

  apiAway(world, _victim, { ms }) {
    world.api.up = false;
    world.after(ms * 1.5, () => {
      world.api.up = true;
    });
    return `API away for ${seconds(ms * 1.5)}`;
  },

  apiSlow(world, _victim, { ms, choice: [how] }) {
    world.api.slowest = 100 + how * 2_500;
    world.after(ms, () => {
      world.api.slowest = 3;
    });
    return `API slow (up to ${world.api.slowest.toFixed(0)} ms a way) for ${seconds(ms)}`;
  },

  answersLost(world, _victim, { ms, choice: [part] }) {
    world.api.lostAnswers = 0.3 + part * 0.7;
    world.after(ms, () => {
      world.api.lostAnswers = 0;
    });
    return `answers of the API lost (${(world.api.lostAnswers * 100).toFixed(0)}%) for ${seconds(ms)}`;
  },

  leaseDeleted(world) {
    world.api.deleteLease();
    return 'Lease deleted';
  },

  messagesLost(world, _victim, { ms, choice: [part] }) {
    world.network.loss = 0.1 + part * 0.8;
    world.after(ms, () => {
      world.network.loss = 0;
    });
    return `messages between instances lost (${(world.network.loss * 100).toFixed(0)}%) for ${seconds(ms)}`;
  },

  networkSlow(world, _victim, { ms, choice: [how] }) {
    world.network.slowest = 20 + how * 300;
    world.after(ms, () => {
      world.network.slowest = 3;
    });
    return `messages take up to ${world.network.slowest.toFixed(0)} ms, for ${seconds(ms)}`;
  },

  clockJumps(world, victim, { choice: [how, sign] }) {
    const ms = (sign < 0.5 ? -1 : 1) * 10 ** (3 + how * 4);
    victim.clocks.jump += ms;
    world.watchdog.disturbed();
    return `wall clock set by ${seconds(ms)}`;
  },

  operatorAway(world, _victim, { ms }) {
    world.api.operatorUp = false;
    world.after(ms * 2, () => {
      world.api.operatorUp = true;
    });
    return `operator away for ${seconds(ms * 2)}`;
  },

  volumeLost(world, victim, { ms }) {
    // One at a time: with more than one, data may be gone for good.
    const record = world.api.lease?.record;
    const whole = [...world.instances.values()].every(
      ({ name, database, removed }) =>
        removed ||
        (database.data === 'present' &&
          record?.members.some((each) => each.name === name && each.incarnation === database.incarnation)),
    );
    // Then nobody may be near enough to lead, and that is what was asked for.
    if (world.settings.maximumLagBytes !== undefined) return undefined;
    // While the rule changes, a leader may be the only one that counts in the old one.
    if (record?.rules.length !== 1) return undefined;
    if (!whole || !victim.alive || world.instances.size === 1) return undefined;
    // Without a rule that waits, a replica that lags is no second copy.
    const others = [...world.instances.values()].filter((each) => each !== victim);
    if (!others.some((each) => each.database.streamsFrom(victim.name) || each.database.isPrimary()))
      return undefined;
    victim.killPod(ms);
    victim.emptyVolume();
    return `volume lost with the pod, which starts again after ${seconds(ms)}`;
  },

  podReplaced(world, victim, { ms }) {
    if (!victim.alive || victim.podDeleting) return undefined;
    victim.terminate();
    const { podUID } = victim;
    world.after(Math.max(ms, 2_000), () => {
      if (victim.podUID !== podUID || victim.removed) return;
      if (victim.alive && victim.exited === undefined) victim.die();
      victim.newPod();
    });
    return `pod stopped, and made anew after ${seconds(Math.max(ms, 2_000))}`;
  },

  switchover(world, victim, { choice: [named, force] }) {
    const from = world.leader()?.name;
    if (!from) return undefined;
    const to = named < 0.7 && victim.name !== from ? { to: victim.name } : {};
    world.settingsChanged({
      switchover: { id: world.newName('s'), from, ...to, ...(force < 0.3 ? { force: true } : {}) },
    });
    return `switchover asked${to.to ? ` to ${to.to}` : ''}`;
  },

  syncChanged(world, _victim, { choice: [which, method] }) {
    const most = [...world.instances.values()].filter((each) => !each.removed && !each.leaving).length - 1;
    const number = 1 + (Math.floor(which * 4) % Math.max(most, 1));
    const sync: Settings['sync'] =
      which < 0.2 || most < 1
        ? undefined
        : { method: method < 0.5 ? 'any' : 'first', number, required: which < 0.75 };
    world.settingsChanged({ sync });
    return `synchronous: ${sync ? `${sync.method} ${number} ${sync.required ? 'required' : 'preferred'}` : 'none'}`;
  },

  fenced(world, victim, { ms }) {
    if (world.settings.fenced.length > 0) return undefined;
    world.settingsChanged({ fenced: [victim.name] });
    world.after(ms, () => world.settingsChanged({ fenced: [] }));
    return `fenced for ${seconds(ms)}`;
  },

  allFenced(world, _victim, { ms }) {
    world.settingsChanged({ fenced: [...world.instances.keys()] });
    world.after(ms, () => world.settingsChanged({ fenced: [] }));
    return `all fenced for ${seconds(ms)}`;
  },

  maintenance(world, _victim, { ms }) {
    world.settingsChanged({ maintenance: true });
    world.after(ms, () => world.settingsChanged({ maintenance: false }));
    return `maintenance for ${seconds(ms)}`;
  },

  priority(world, victim, { choice: [how] }) {
    world.settingsChanged({ priorities: { [victim.name]: Math.floor(how * 3) } });
    return `failover priority ${Math.floor(how * 3)}`;
  },

  scaledOut(world) {
    if (world.instances.size >= 5) return undefined;
    return `${world.add().name} added`;
  },

  scaledIn(world) {
    const there = [...world.instances.values()].filter((each) => !each.removed);
    const last = there.at(-1)!;
    // The API refuses fewer instances than the rule needs.
    const needed = (world.settings.sync?.number ?? 0) + 1;
    if (there.length - 1 < Math.max(needed, 1) || last.leaving || there.length < 3) return undefined;
    world.remove(last);
    return `${last.name} is to be removed`;
  },
} satisfies Record<string, Apply>;

export type FaultKind = keyof typeof FAULTS;

/** How often each kind is drawn, beside 1 for all others. */
const WEIGHT: Partial<Record<FaultKind, number>> = {
  postmasterKilled: 2,
  podKilled: 3,
  nodeLost: 3,
  nodeFrozen: 3,
  isolated: 3,
  isolatedFromApi: 3,
  linkCut: 3,
  apiAway: 2,
  apiSlow: 2,
  managerFrozen: 2,
  allFenced: 0.3,
  leaseDeleted: 0.5,
};

/** Each kind as often as it weighs, in quarters. */
const KINDS = (Object.keys(FAULTS) as FaultKind[]).flatMap((kind) =>
  Array.from({ length: Math.ceil((WEIGHT[kind] ?? 1) * 4) }, () => kind),
);

/** Draws one fault. `random`: from 0 (included) to 1 (not). */
export function drawFault(
  random: () => number,
  instances: number,
  kinds: readonly FaultKind[] = KINDS,
): Fault {
  const kind = kinds[Math.floor(random() * kinds.length)]!;
  return {
    // Some follow each other closely: that is where most trouble is.
    after: random() < 0.5 ? random() * 1_500 : random() * 12_000,
    kind,
    victim: random() < 0.5 ? 'leader' : 1 + Math.floor(random() * instances),
    ms: 100 + random() ** 2 * 14_000,
    choice: [random(), random()],
  };
}

/** Does it. Returns what was done, in words; undefined when it could not be done. */
export function applyFault(world: World, fault: Fault): string | undefined {
  const victim =
    fault.victim === 'leader' ? (world.leader() ?? world.get('demo-1')) : world.get(`demo-${fault.victim}`);
  if (!victim || victim.removed) return undefined;
  const done = (FAULTS[fault.kind] as Apply)(world, victim, fault);
  return done && `${world.time.toFixed(0)} ${victim.name}: ${done}`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
