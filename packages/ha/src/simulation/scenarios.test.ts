/** Whole clusters of the machine through the faults that a database on Kubernetes meets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REQUIRED } from './removals.ts';
import { cluster, ends, outage } from './testing.ts';

for (const [kind, options] of Object.entries({ required: REQUIRED, async: {} })) {
  for (let seed = 1; seed <= 5; seed++) {
    const name = (text: string) => `${kind}, seed ${seed}: ${text}`;

    test(name('three instances come up; the first leads, all are members'), () => {
      const world = cluster({ ...options, seed });
      assert.equal(world.leader()?.name, 'demo-1');
      assert.equal(world.api.lease?.record.members.length, 3);
      assert.equal(world.api.lease?.record.rules.length, 1);
      assert.ok(world.watchdog.acked.length > 100);
      ends(world);
    });

    test(name('the postmaster is killed'), () => {
      const world = cluster({ ...options, seed });
      const at = world.time;
      world.get('demo-1').killPostmaster();
      ends(world);
      assert.ok(outage(world, at + 5) < 400, `outage ${outage(world, at + 5)}`);
      assert.equal(world.leader()?.name === 'demo-1', kind === 'async');
    });

    test(name("everything in the primary's pod is killed"), () => {
      const world = cluster({ ...options, seed });
      const at = world.time;
      world.get('demo-1').killPod();
      ends(world);
      assert.ok(outage(world, at) < 1_000, `outage ${outage(world, at)}`);
      assert.notEqual(world.leader()?.name, 'demo-1');
    });

    test(name('the node of the primary is lost without a word'), () => {
      const world = cluster({ ...options, seed });
      const at = world.time;
      world.get('demo-1').loseNode();
      world.run(20_000);
      // Promises do not wait for the Lease; without a commit rule everybody must.
      const [least, most] = kind === 'required' ? [1_000, 4_000] : [8_000, 13_000];
      assert.ok(outage(world, at) < most, `outage ${outage(world, at)}`);
      assert.ok(outage(world, at) > least, `outage ${outage(world, at)}: too early to be safe`);
      world.get('demo-1').returnNode();
      ends(world);
    });

    test(name('the primary is isolated and heals'), () => {
      const world = cluster({ ...options, seed });
      world.isolate('demo-1');
      world.run(9_000);
      assert.ok(!world.get('demo-1').database.isPrimary(), world.picture());
      world.run(11_000);
      world.heal('demo-1');
      ends(world);
    });

    test(name('the manager is frozen'), () => {
      const world = cluster({ ...options, seed });
      world.get('demo-1').frozen = true;
      world.run(20_000);
      ends(world);
    });

    test(name("the primary's pod is stopped: a switchover"), () => {
      const world = cluster({ ...options, seed });
      const at = world.time;
      world.get('demo-1').terminate();
      world.until(() => world.get('demo-1').exited === 0, 5_000, 'demo-1 exits');
      world.run(1_000);
      assert.ok(outage(world, at + 50) < 300, `outage ${outage(world, at + 50)}`);
      assert.notEqual(world.leader()?.name, 'demo-1');
      assert.deepEqual(world.violations, []);
      assert.ok(!world.notes.some((line) => line.includes('discards')));
    });

    test(name('a switchover is asked for'), () => {
      const world = cluster({ ...options, seed });
      world.settingsChanged({ switchover: { id: 'one', from: 'demo-1', to: 'demo-3' } });
      world.until(() => world.leader()?.name === 'demo-3', 5_000, 'demo-3 leads');
      ends(world);
      assert.equal(world.leader()?.name, 'demo-3');
    });

    test(name('the primary is asked to restart in place'), () => {
      const world = cluster({ ...options, seed });
      const at = world.time;
      world.settingsChanged({ switchover: { id: 'one', from: 'demo-1', to: 'demo-1' } });
      world.until(() => outage(world, at) > 0, 5_000, 'demo-1 stops');
      world.run(5_000);
      assert.equal(world.leader()?.name, 'demo-1');
      assert.equal(world.get('demo-1').database.timeline, 1);
      assert.ok(outage(world, at) < 2_000, `outage ${outage(world, at)}`);
      ends(world);
    });

    test(name('the data directory is emptied under the running primary'), () => {
      const world = cluster({ ...options, seed });
      world.get('demo-1').emptyVolume();
      ends(world);
      assert.notEqual(world.leader()?.name, 'demo-1');
      assert.equal(new Set([...world.instances.values()].map((each) => each.database.systemID)).size, 1);
    });

    test(name('the API is away for 3 s: nothing happens'), () => {
      const world = cluster({ ...options, seed });
      world.api.up = false;
      world.run(3_200);
      world.api.up = true;
      world.run(15_000);
      assert.equal(world.leader()?.name, 'demo-1');
      assert.equal(world.get('demo-1').database.timeline, 1);
      ends(world);
    });

    test(name('the API is away for a minute: no failover, no restart'), () => {
      const world = cluster({ ...options, seed });
      const before = world.watchdog.acked.length;
      world.api.up = false;
      world.run(60_000);
      world.api.up = true;
      ends(world);
      assert.equal(world.leader()?.name, 'demo-1');
      assert.equal(world.get('demo-1').database.timeline, 1);
      assert.equal(world.watchdog.takes, 1);
      assert.ok(world.watchdog.acked.length - before > 5_000);
    });

    test(name('the postmaster is killed while the API is away: it starts in place'), () => {
      const world = cluster({ ...options, seed });
      world.api.up = false;
      world.run(10_000);
      const at = world.time;
      world.get('demo-1').killPostmaster();
      world.run(10_000);
      assert.ok(outage(world, at + 5) < 1_000, `outage ${outage(world, at + 5)}`);
      world.api.up = true;
      ends(world);
      assert.equal(world.get('demo-1').database.timeline, 1);
    });

    test(name('everything is killed at once'), () => {
      const world = cluster({ ...options, seed });
      for (const instance of world.instances.values()) instance.killPod(world.between(200, 2_000));
      ends(world, 40_000);
    });

    test(name('all pods are stopped and made anew on their volumes'), () => {
      const world = cluster({ ...options, seed });
      for (const instance of world.instances.values()) instance.terminate();
      world.run(8_000);
      for (const instance of world.instances.values()) {
        instance.podDeleting = false;
        instance.startContainer();
      }
      world.podsChanged();
      ends(world, 40_000);
    });
  }
}

test('one instance restarts in place, however it died', () => {
  const world = cluster({ instances: 1 });
  world.get('demo-1').killPostmaster();
  ends(world);
  world.get('demo-1').killPod();
  ends(world);
  assert.equal(world.get('demo-1').database.timeline, 1);
});

test('one instance goes on without the API', () => {
  const world = cluster({ instances: 1 });
  world.api.up = false;
  const at = world.time;
  world.run(60_000);
  assert.ok(world.get('demo-1').database.acts());
  assert.ok(world.watchdog.acked.at(-1)!.at > at + 59_000);
  world.api.up = true;
  ends(world);
});

test('without the API and a member, it stops in time', () => {
  const world = cluster(REQUIRED);
  world.get('demo-3').loseNode();
  world.api.up = false;
  world.run(9_000);
  assert.ok(!world.get('demo-1').database.isPrimary());
  world.api.up = true;
  world.get('demo-3').returnNode();
  ends(world);
});

test('a thawed node acknowledges nothing under a required rule', () => {
  const world = cluster(REQUIRED);
  const old = world.get('demo-1');
  old.freeze('nodeFrozen');
  const at = world.time;
  world.run(20_000);
  assert.ok(outage(world, at) < 4_500, `outage ${outage(world, at)}`);
  old.thaw();
  world.run(300);
  assert.ok(!world.watchdog.acked.some((each) => each.by === 'demo-1' && each.at > at + 20));
  ends(world);
});

test('a forced promotion', () => {
  const world = cluster(REQUIRED);
  world.get('demo-1').loseNode();
  world.get('demo-2').loseNode();
  world.run(20_000);
  assert.deepEqual(world.primaries(), []);
  const { epoch } = world.api.lease!.record;
  world.settingsChanged({ promote: { id: 'p', to: 'demo-3', epoch } });
  world.until(() => world.get('demo-3').database.isPrimary(), 15_000, 'demo-3 leads');
  world.get('demo-1').returnNode();
  world.get('demo-2').returnNode();
  ends(world);
  assert.equal(world.leader()?.name, 'demo-3');
});

test('a fenced leader does not lead, and the fence keeps it out', () => {
  const world = cluster({});
  world.settingsChanged({ fenced: ['demo-2'] });
  world.get('demo-1').killPod(undefined);
  world.run(5_000);
  assert.equal(world.leader()?.name, 'demo-3');
});
