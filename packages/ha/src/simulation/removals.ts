/** Every rule, what the machine is like without it, and where the harm shows. */
import type { Rules } from '../rules.ts';
import { no, yes } from '../types.ts';
import type { DrawOptions } from './history.ts';
import { append } from './wal.ts';
import type { World, WorldOptions } from './world.ts';

/** Without the rule this answers in its place. */
export type Removal = Partial<Rules>;

/** Random histories of a kind that finds the harm soon. */
export interface Hunt extends DrawOptions {
  without: Removal;
  harm: RegExp;
  noGuard?: boolean;
}

/** A history that is told, for what chance finds too seldom. */
export interface Story {
  without: Removal;
  harm: RegExp;
  options: WorldOptions;
  faults(world: World): void;
}

export const REQUIRED: WorldOptions = { settings: { sync: { method: 'any', number: 1, required: true } } };
const ANY_1 = REQUIRED.settings!;
const LOST = /without records|does not have/;
const TWO = /two primaries acknowledge/;

export const HUNTS: Partial<Record<keyof Rules, Hunt>> = {
  leadershipHolds: {
    without: { leadershipHolds: () => true },
    noGuard: true,
    kinds: ['isolated'],
    settings: {},
    harm: TWO,
  },
  isSilent: {
    without: { isSilent: () => true },
    kinds: ['isolated', 'managerKilled'],
    settings: {},
    harm: TWO,
  },
  isHeldBy: {
    without: { isHeldBy: () => true },
    kinds: ['isolated', 'managerFrozen', 'nodeFrozen', 'switchover'],
    harm: /./,
  },
  isCertainlyDead: {
    without: {
      isCertainlyDead: (_record, pods) => pods.some((pod) => pod.deleting || pod.terminated.length > 0),
    },
    kinds: ['podKilled', 'podReplaced', 'isolated'],
    settings: {},
    harm: TWO,
  },
  isOurPredecessor: {
    without: { isOurPredecessor: () => true },
    kinds: ['isolated', 'managerKilled'],
    settings: {},
    harm: /./,
  },
  ledLast: {
    without: { ledLast: () => true },
    kinds: ['podKilled', 'isolated', 'linkCut'],
    settings: ANY_1,
    harm: LOST,
  },
  mayTakeNow: {
    without: { mayTakeNow: () => yes },
    kinds: ['maintenance', 'nodeLost', 'podKilled'],
    harm: /under maintenance/,
  },
  nobodyAhead: {
    without: { nobodyAhead: () => yes },
    kinds: ['podKilled', 'linkCut', 'networkSlow', 'messagesLost'],
    harm: /is ahead|without records/,
  },
  withinLag: {
    without: { withinLag: () => yes },
    kinds: ['podKilled', 'isolated', 'linkCut'],
    settings: { maximumLagBytes: 128n },
    harm: /maximumLag/,
  },
  mayPromise: { without: { mayPromise: () => yes }, kinds: ['linkCut'], settings: ANY_1, harm: /deposes/ },
  isQuiet: {
    without: { isQuiet: () => true },
    kinds: ['isolated', 'linkCut'],
    settings: ANY_1,
    harm: /deposes/,
  },
  promisesSuffice: {
    without: { promisesSuffice: () => yes, enoughAreQuiet: () => yes },
    kinds: ['isolated', 'linkCut', 'managerFrozen', 'isolatedFromApi'],
    settings: ANY_1,
    harm: LOST,
  },
  behindNoPromise: {
    without: { behindNoPromise: () => yes },
    kinds: ['nodeLost', 'linkCut', 'managerFrozen', 'networkSlow'],
    settings: ANY_1,
    harm: LOST,
  },
  mayDropMember: {
    without: { mayDropMember: (s, _settings, name) => name !== s.self.name && !s.peers[name]?.report },
    kinds: ['nodeLost', 'podKilled'],
    harm: /no member any more/,
  },
  timelineToReserve: {
    without: { timelineToReserve: () => 0 },
    kinds: ['nodeLost', 'podKilled', 'isolated'],
    settings: {},
    harm: /bear timeline/,
  },
  mayInitialise: {
    without: { mayInitialise: (_record, s) => (s.view?.data === 'empty' ? yes : no('it has data')) },
    kinds: ['volumeLost'],
    harm: /initialised before/,
  },
};

/** Cuts an instance off from its peers only. */
function apart(world: World, name: string): void {
  for (const other of world.instances.keys()) {
    if (other === name) continue;
    world.cut(name, other);
    world.cut(other, name);
  }
}

/** Joined to all others again, but for those that are named. */
function together(world: World, ...without: string[]): void {
  world.heal();
  for (const name of without) world.isolate(name);
}

/** What a primary logs and nobody gets. */
function logs(world: World, name: string, records: number): void {
  const { database } = world.get(name);
  for (let n = 0; n < records; n++) database.wal = append(database.wal, world.newRecord(), database.timeline);
}

const FOUR: WorldOptions = { ...REQUIRED, instances: 4 };

/**
 * Rules that no history needs: others stand behind them, or they are there for speed, for a wish, or for harm that
 * this world cannot show. Their cases are in rules.test.ts.
 */
export const CAUTIONS: Partial<Record<keyof Rules, string>> = {
  silenceBegins:
    'the same version was not renewed meanwhile, read or not; grants bind whoever could not read',
  mayRelease: 'the situations make death certain before a release is planned',
  mayPassOverTheNamed: 'who else takes it must have everything as well: it keeps a wish, and saves a race',
  nobodyLeads:
    'a leader that lives has renewed, or is going on by grants, which bind; it spares one that hangs',
  enoughAreQuiet: 'the quorum of promises decides; this spares standbys from being cut for nothing',
  promisesDecide: 'n-k+1 of n cannot be had where a commit waits for nobody; it says so early',
  mayBecomeMember:
    'copies here are made in an instant; a real one may be behind what its lost predecessor confirmed',
  hasParted: 'for speed: a standby that cannot stream is rewound after a while in any case',
  isProvenLeader: 'nobody but the leader can be copied here; a real instance answers also when it is deposed',
  mayOverwrite: 'a second loss of a volume, at the same time, would be needed',
  isForced: 'a wish: it takes rules away for one instance',
};

export const STORIES: Partial<Record<keyof Rules, Story>> = {
  grantMs: {
    without: { grantMs: () => 1_000 },
    options: {},
    harm: /lets go on/,
    faults(world) {
      // It goes on by grants for long; then everybody is cut off from everybody, but not from the API.
      world.isolateFromApi('demo-1');
      world.run(15_000);
      apart(world, 'demo-1');
      apart(world, 'demo-2');
      world.run(12_000);
    },
  },
  isBound: {
    without: { isBound: () => false },
    options: {},
    harm: /lets go on/,
    faults(world) {
      world.isolateFromApi('demo-1');
      world.run(15_000);
      apart(world, 'demo-1');
      apart(world, 'demo-2');
      world.run(12_000);
    },
  },
  allGrant: {
    without: {
      allGrant: (_members, _self, answers) =>
        Object.values(answers).some((answer) => answer !== null && 'granted' in answer),
    },
    options: {},
    harm: /lets go on/,
    faults(world) {
      apart(world, 'demo-3');
      world.isolateFromApi('demo-1');
      world.run(16_000);
    },
  },
  mayGrant: {
    without: { mayGrant: () => yes },
    options: REQUIRED,
    harm: /still answers clients/,
    faults(world) {
      // Others have taken over by promises; it comes back to them, but not to the API.
      world.isolate('demo-1');
      world.until(() => world.leader()?.name !== 'demo-1', 6_000);
      world.heal('demo-1');
      world.isolateFromApi('demo-1');
      world.run(20_000);
    },
  },
  promiseWait: {
    without: { promiseWait: () => 0 },
    options: { ...REQUIRED, instances: 2 },
    harm: /lets go on/,
    faults(world) {
      // It goes on by grants; who gave them starts again, and has forgotten.
      world.isolateFromApi('demo-1');
      world.run(15_000);
      apart(world, 'demo-1');
      world.get('demo-2').die();
      world.get('demo-2').startManager();
      world.run(20_000);
    },
  },
  isGenuine: {
    without: { isGenuine: () => true },
    options: {},
    harm: TWO,
    faults(world) {
      // The API is restored to a time at which a leader held the Lease that has died since.
      const old = world.api.lease!.record;
      world.get('demo-1').killPod(3_000);
      world.until(() => world.leader()?.name !== 'demo-1' && world.settled(), 20_000);
      const { name } = world.leader()!;
      world.isolate(name);
      world.api.restoreLease(old);
      world.run(9_000);
    },
  },
  mayStand: {
    without: { mayStand: () => yes, isForeign: () => false },
    options: REQUIRED,
    harm: LOST,
    faults(world) {
      // The volume of another database was put in the place of one that was lost.
      const { database } = world.get('demo-2');
      world.get('demo-2').killPod(undefined);
      database.systemID = 'another';
      database.wal = null;
      for (let n = 0; n < 2_000; n++) database.wal = append(database.wal, world.newRecord(), 1);
      world.get('demo-2').startContainer();
      world.run(300);
      world.isolateFromApi('demo-3');
      world.get('demo-1').killPod(undefined);
      world.run(20_000);
    },
  },
  isForeign: {
    without: { isForeign: () => false },
    options: REQUIRED,
    harm: /the data of another database/,
    faults(world) {
      const { database } = world.get('demo-2');
      world.get('demo-2').killPod(undefined);
      database.systemID = 'another';
      database.wal = null;
      for (let n = 0; n < 5_000; n++) database.wal = append(database.wal, world.newRecord(), 1);
      world.get('demo-2').startContainer();
      world.run(90_000);
    },
  },
  quorumAnswered: {
    without: { quorumAnswered: () => yes },
    options: REQUIRED,
    harm: LOST,
    faults(world) {
      // One that lags is all that is left; the kubelets vouch for the death of the others.
      apart(world, 'demo-3');
      world.run(500);
      world.get('demo-1').killPod(undefined);
      world.get('demo-2').killPod(undefined);
      world.run(500);
      world.heal();
      world.run(20_000);
    },
  },
  mayApply: {
    without: { mayApply: () => true },
    options: { ...FOUR, settings: { sync: { method: 'any', number: 2, required: true } } },
    harm: LOST,
    faults(world) {
      // Fewer are asked for, which cannot be recorded; one of them confirms what the others never get.
      world.api.lostAnswers = 1;
      world.cut('demo-1', 'api');
      world.settings.sync = { method: 'any', number: 1, required: true };
      world.get('demo-1').feed({ type: 'settings', settings: { ...world.settings } });
      for (const name of ['demo-3', 'demo-4']) apart(world, name);
      world.run(500);
      world.get('demo-1').loseNode();
      world.api.lostAnswers = 0;
      together(world, 'demo-1', 'demo-2');
      world.run(20_000);
    },
  },
  mayDropOthers: {
    without: { mayDropOthers: () => true },
    options: FOUR,
    harm: LOST,
    faults(world) {
      // Under `any 1` only one confirms; the rule becomes `any 2`, which nothing is acknowledged under any more.
      for (const name of ['demo-3', 'demo-4']) apart(world, name);
      world.run(500);
      world.settingsChanged({ sync: { method: 'any', number: 2, required: true } });
      world.run(1_000);
      world.get('demo-1').loseNode();
      together(world, 'demo-1', 'demo-2');
      world.run(20_000);
    },
  },
  historyIsTheLeaders: {
    without: { historyIsTheLeaders: () => true },
    options: REQUIRED,
    harm: LOST,
    faults(world) {
      // The old leader wrote what nobody got, and comes back with it; another is away.
      world.isolate('demo-1');
      world.run(100);
      world.get('demo-1').killPod(undefined);
      logs(world, 'demo-1', 400);
      world.until(() => world.leader()?.name === 'demo-2', 15_000);
      world.isolate('demo-3');
      world.heal('demo-1');
      world.isolate('demo-3');
      world.get('demo-1').startContainer();
      world.until(() => world.get('demo-1').database.attached, 5_000);
      world.run(100);
      world.get('demo-2').loseNode();
      together(world, 'demo-2');
      world.run(25_000);
    },
  },
  mayContinueAsPrimary: {
    without: { mayContinueAsPrimary: () => true },
    options: REQUIRED,
    harm: LOST,
    faults(world) {
      // The new leader dies before it is promoted, and starts; the old one comes back on the same timeline.
      world.isolate('demo-1');
      world.run(300);
      world.get('demo-1').die();
      logs(world, 'demo-1', 3);
      world.until(
        () => world.leader()?.name === 'demo-2' && world.get('demo-2').state.held !== undefined,
        15_000,
      );
      world.get('demo-2').killPostmaster();
      world.until(() => world.get('demo-2').database.isPrimary(), 15_000);
      world.run(1_000);
      world.isolate('demo-3');
      world.heal('demo-1');
      world.isolate('demo-3');
      world.get('demo-1').startContainer();
      world.run(4_000);
      world.get('demo-2').loseNode();
      together(world, 'demo-2');
      world.run(25_000);
    },
  },
};
