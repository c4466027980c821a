/** Rules taken away, and a history that is told, for what chance finds too seldom. */
import type { Rules } from '../rules.ts';
import { yes } from '../types.ts';
import { LOST, REQUIRED, type Story, TWO } from './removals.ts';
import { append } from './wal.ts';
import type { World, WorldOptions } from './world.ts';

/** Cuts an instance off from its peers only. */
function apart(world: World, name: string): void {
  for (const other of world.instances.keys()) {
    if (other === name) continue;
    world.cut(name, other);
    world.cut(other, name);
  }
}

/** Its leader goes on by grants; who gave them is made anew, and does not know that. */
function granterMadeAnew(world: World): void {
  world.isolateFromApi('demo-1');
  world.run(15_000);
  apart(world, 'demo-1');
  world.get('demo-2').die();
  world.get('demo-2').newPod();
  world.run(20_000);
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

/** A leader goes on by grants for long; then everybody is cut off from everybody, but not from the API. */
function grantsRunOut(world: World): void {
  world.isolateFromApi('demo-1');
  world.run(15_000);
  apart(world, 'demo-1');
  apart(world, 'demo-2');
  world.run(12_000);
}

const FOUR: WorldOptions = { ...REQUIRED, instances: 4 };

export const STORIES: Partial<Record<keyof Rules, Story>> = {
  grantMs: {
    without: { grantMs: () => 1_000 },
    options: {},
    harm: /lets go on/,
    faults: grantsRunOut,
  },
  isBound: {
    without: { isBound: () => false },
    options: {},
    harm: /lets go on/,
    faults: grantsRunOut,
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
  knowsGrants: {
    without: { knowsGrants: () => true },
    options: { ...REQUIRED, instances: 2 },
    harm: /lets go on/,
    faults: granterMadeAnew,
  },
  promiseWait: {
    without: { promiseWait: () => 0 },
    options: { ...REQUIRED, instances: 2 },
    harm: /lets go on/,
    faults: granterMadeAnew,
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
