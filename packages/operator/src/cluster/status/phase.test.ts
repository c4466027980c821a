import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClusterPhase } from '@pgherd/api';
import type { PersistentVolumeClaim } from '@pgherd/kube';
import {
  bareFacts,
  healthyFacts,
  instance,
  testCluster,
  testLease,
  testPod,
  testReport,
} from '../../testing/facts.ts';
import type { Facts } from '../facts.ts';
import { plan } from '../plan.ts';
import { deriveStatus } from './derive.ts';

interface Case {
  name: string;
  facts: () => Facts;
  failures?: string[];
  phase: ClusterPhase;
  reason: RegExp;
}

function from(facts: Facts, spoil: (facts: Facts) => void): () => Facts {
  return () => {
    spoil(facts);
    return facts;
  };
}

const PREFERRED = {
  postgresql: { synchronous: { method: 'any' as const, number: 2, dataDurability: 'preferred' as const } },
};

/** What the primary says that its commits wait for. */
function inForce(facts: Facts, syncNames: string): void {
  const one = instance(facts, 'demo-1');
  one.report = { ...one.report!, syncNames };
}

const ANY1 = { postgresql: { synchronous: { method: 'any', number: 1 } } };

function synced(facts: Facts, states: string[]): void {
  const names = facts.instances.slice(1).map(({ name }) => name);
  instance(facts, 'demo-1').report = testReport('demo-1', 'primary', {
    replication: states.map((syncState, index) => ({ name: names[index]!, state: 'streaming', syncState })),
  });
}

const cases: Case[] = [
  {
    name: 'PostgreSQL refuses a setting and goes on with the old one',
    facts: from(healthyFacts(), (facts) => {
      const error = {
        code: 'Configuration',
        message: 'applying the settings: work_mem = much: invalid value',
      };
      instance(facts, 'demo-1').report = testReport('demo-1', 'primary', { error });
    }),
    phase: 'Degraded',
    reason: /demo-1: applying the settings: work_mem/,
  },
  {
    name: 'a full volume is named before what follows from it',
    facts: from(healthyFacts(), (facts) => {
      const volume = {
        name: 'demo-1-wal',
        level: 'full',
        usedBytes: 990 << 20,
        sizeBytes: 1000 << 20,
      } as const;
      const error = { code: 'VolumeFull', message: 'x' };
      instance(facts, 'demo-1').report = testReport('demo-1', 'primary', {
        role: 'none',
        error,
        volumes: [volume],
      });
    }),
    phase: 'Degraded',
    reason: /^demo-1: volume demo-1-wal is full \(99%, 10 MB left\)\. Make space/,
  },
  {
    name: 'a volume that is nearly full is no health either',
    facts: from(healthyFacts(), (facts) => {
      const volume = { name: 'demo-2', level: 'low', usedBytes: 950 << 20, sizeBytes: 1000 << 20 } as const;
      instance(facts, 'demo-2').report = testReport('demo-2', 'replica', { volumes: [volume] });
    }),
    phase: 'Degraded',
    reason: /^demo-2: volume demo-2 is nearly full \(95%, 50 MB left\)$/,
  },
  {
    name: 'a volume that takes no writes, although all else looks well',
    facts: from(healthyFacts(), (facts) => {
      const volume = { name: 'demo-1', level: 'fine', usedBytes: 1, sizeBytes: 100, hung: true } as const;
      instance(facts, 'demo-1').report = testReport('demo-1', 'primary', { volumes: [volume] });
    }),
    phase: 'Degraded',
    reason: /^demo-1: volume demo-1 takes no writes$/,
  },
  { name: 'nothing is there yet', facts: () => bareFacts(), phase: 'Creating', reason: /creating/ },
  {
    name: 'a primary that is well, on a node whose kubelet says nothing any more',
    facts: from(healthyFacts(), (facts) => {
      const { pod } = instance(facts, 'demo-1');
      pod!.spec.nodeName = 'n1';
      pod!.status = { ...pod!.status, conditions: [{ type: 'Ready', status: 'False' }] };
      facts.unready = new Set(['n1']);
    }),
    phase: 'Degraded',
    reason: /^demo-1: PostgreSQL is well, but node n1 does not report to Kubernetes: see its kubelet/,
  },
  {
    name: 'the first cannot be scheduled',
    facts: from(bareFacts(), (facts) => {
      const pod = testPod(facts, 'demo-1');
      pod.status = {
        phase: 'Pending',
        conditions: [{ type: 'PodScheduled', status: 'False', message: '0/3 nodes are available' }],
      };
      facts.instances = [{ name: 'demo-1', serial: 1, pod }];
    }),
    phase: 'Creating',
    reason: /demo-1: no node can run it: 0\/3 nodes/,
  },
  {
    name: 'an image that cannot be had',
    facts: from(bareFacts(), (facts) => {
      const pod = testPod(facts, 'demo-1');
      const waiting = { reason: 'ImagePullBackOff', message: 'no binaries are registered for nope:1' };
      pod.status = {
        phase: 'Pending',
        containerStatuses: [
          { name: 'postgres', ready: false, restartCount: 0, image: '', imageID: '', state: { waiting } },
        ],
      };
      facts.instances = [{ name: 'demo-1', serial: 1, pod }];
    }),
    phase: 'Creating',
    reason: /container postgres: ImagePullBackOff: no binaries are registered for nope:1/,
  },
  {
    name: 'the database is being made',
    facts: from(bareFacts(), (facts) => {
      facts.instances = [
        {
          name: 'demo-1',
          serial: 1,
          pod: testPod(facts, 'demo-1'),
          report: testReport('demo-1', 'replica', { role: 'none', state: 'bootstrapping', streaming: false }),
        },
      ];
    }),
    phase: 'Initializing',
    reason: /demo-1 initialises/,
  },
  {
    name: 'making it failed',
    facts: from(bareFacts(), (facts) => {
      const report = testReport('demo-1', 'replica', {
        role: 'none',
        state: 'failed',
        error: { code: 'Sql', message: 'postInitSQL line 2: syntax error' },
      });
      facts.instances = [{ name: 'demo-1', serial: 1, pod: testPod(facts, 'demo-1'), report }];
    }),
    phase: 'Failed',
    reason: /demo-1: postInitSQL line 2: syntax error/,
  },
  {
    name: 'making it failed, and is tried again',
    facts: from(bareFacts(), (facts) => {
      const report = testReport('demo-1', 'replica', { role: 'none', state: 'bootstrapping' });
      facts.instances = [{ name: 'demo-1', serial: 1, pod: testPod(facts, 'demo-1'), report }];
      facts.cluster.status = { phase: 'Failed', phaseReason: 'demo-1: postInitSQL line 2: syntax error' };
    }),
    phase: 'Failed',
    reason: /demo-1: postInitSQL line 2: syntax error/,
  },
  {
    name: 'a volume that nobody can bind',
    facts: from(bareFacts(), (facts) => {
      const pod = testPod(facts, 'demo-1');
      pod.status = {
        phase: 'Pending',
        conditions: [
          {
            type: 'PodScheduled',
            status: 'False',
            message: 'pod has unbound immediate PersistentVolumeClaims',
          },
        ],
      };
      const data = {
        metadata: { name: 'demo-1', namespace: 'default' },
        spec: { storageClassName: 'fast' },
        status: { phase: 'Pending' },
      } as PersistentVolumeClaim;
      facts.instances = [{ name: 'demo-1', serial: 1, pod, data }];
    }),
    phase: 'Creating',
    reason: /unbound.*demo-1 has got no volume from the StorageClass fast: .*describe pvc demo-1 -n default/,
  },
  ...[
    { known: ['n1', 'n2'], says: /node n2, or in its zone: make room there/ },
    {
      known: ['n1'],
      says: /node n2, or in its zone, which is not there any more: .*destroy demo demo-3 -n default/,
    },
    { known: undefined, says: /demo-3 \(pv-3\) can be used only on node n2, or in its zone: / },
    {
      known: ['n1', 'n2', 'n3'],
      says: /demo-3 \(pv-3\) can be used only on node n2, or in its zone: /,
      told: "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match PersistentVolume's node affinity.",
    },
  ].map(({ known, says, told }: { known?: string[]; says: RegExp; told?: string }) => ({
    name: `a volume on a node that takes no pod, of ${known?.length ?? 'unknown'} nodes`,
    facts: from(healthyFacts(), (facts) => {
      const three = instance(facts, 'demo-3');
      const message = told ?? '0/2 nodes are available: 2 node(s) had volume node affinity conflict.';
      three.pod!.status = {
        phase: 'Pending',
        conditions: [{ type: 'PodScheduled', status: 'False', message }],
      };
      delete three.report;
      three.data!.spec.volumeName = 'pv-3';
      three.data!.metadata.annotations = { 'volume.kubernetes.io/selected-node': 'n2' };
      if (known) facts.nodes = new Set(known);
    }),
    phase: 'Degraded' as const,
    reason: says,
  })),
  ...(
    [
      ['ErrImagePull', 'pull access denied', /demo-3: container postgres: ErrImagePull: pull access denied/],
      ['InvalidImageName', 'could not parse', /InvalidImageName/],
      ['CreateContainerConfigError', 'secret "x" not found', /secret "x" not found/],
    ] as const
  ).map(([reason, message, says]) => ({
    name: `a container that waits: ${reason}`,
    facts: from(healthyFacts(), (facts) => {
      const three = instance(facts, 'demo-3');
      delete three.report;
      const waiting = { reason, message };
      three.pod!.status = {
        phase: 'Pending',
        containerStatuses: [{ name: 'postgres', state: { waiting }, ready: false, restartCount: 0 } as never],
      };
    }),
    phase: 'Degraded' as const,
    reason: says,
  })),
  ...(
    [
      [
        { conditions: [{ type: 'NodeResizeError', status: 'True', message: 'no space in the pool' }] },
        'Degraded',
        /volume demo-2 does not grow to 2Gi: no space in the pool/,
      ],
      [
        { allocatedResourceStatuses: { storage: 'ControllerResizeInfeasible' } },
        'Degraded',
        /does not grow to 2Gi: its driver says that it cannot \(ControllerResizeInfeasible\)/,
      ],
      [
        {
          conditions: [
            { type: 'FileSystemResizePending', status: 'True', lastTransitionTime: '2026-06-01T11:50:00Z' },
          ],
        },
        'Degraded',
        /while it is in use: make the pod anew \(kubectl delete pod demo-2 -n default\)/,
      ],
      [
        {
          conditions: [
            { type: 'FileSystemResizePending', status: 'True', lastTransitionTime: '2026-06-01T11:59:50Z' },
          ],
        },
        'Ready',
        /demo-1 is primary/,
      ],
    ] as const
  ).map(([status, phase, reason], index) => ({
    name: `a volume that is to grow, ${index + 1}`,
    facts: from(healthyFacts({ storage: { size: '2Gi' } }), (facts) => {
      const { data } = instance(facts, 'demo-2');
      data!.status = { phase: 'Bound', ...(status as object) };
    }),
    phase,
    reason,
  })),
  {
    name: 'a primary whose API access is gone serves on, and that is told',
    facts: from(healthyFacts(), (facts) => {
      facts.leaseUnchangedMs = 20_000;
    }),
    phase: 'Degraded',
    reason:
      /demo-1 serves, but has not renewed its Lease since .*does not reach the API server, or is refused/,
  },
  {
    name: 'a service account that was deleted: the tokens of its pods are dead',
    facts: from(healthyFacts(), (facts) => {
      facts.leaseUnchangedMs = 20_000;
      facts.serviceAccount = {
        metadata: { name: 'demo', creationTimestamp: '2026-06-01T11:59:00Z' },
      } as never;
      for (const { pod } of facts.instances) pod!.metadata.creationTimestamp = '2026-06-01T10:00:00Z';
    }),
    phase: 'Degraded',
    reason: /the service account demo was made anew.*old tokens of demo-1, demo-2, demo-3: delete these pods/,
  },
  {
    name: 'replicas copy for the first time',
    facts: from(healthyFacts({}, 3, { phase: 'Initializing' }), (facts) => {
      instance(facts, 'demo-2').report = testReport('demo-2', 'replica', {
        state: 'copying',
        role: 'none',
        streaming: false,
      });
    }),
    phase: 'WaitingForReplicas',
    reason: /demo-2: it is copying/,
  },
  {
    name: 'all is well',
    facts: () => healthyFacts(),
    phase: 'Ready',
    reason: /demo-1 is primary, 2 replicas stream/,
  },
  {
    name: 'a replica that does not stream is no health',
    facts: from(healthyFacts(), (facts) => {
      instance(facts, 'demo-3').report = testReport('demo-3', 'replica', { streaming: false });
    }),
    phase: 'Degraded',
    reason: /demo-3: it does not stream from demo-1/,
  },
  {
    name: 'nor is one that does not answer',
    facts: from(healthyFacts(), (facts) => {
      const three = instance(facts, 'demo-3');
      delete three.report;
      three.silent = 'connection refused';
    }),
    phase: 'Degraded',
    reason: /demo-3: it does not answer: connection refused/,
  },
  {
    name: 'nor a wait past its deadline',
    facts: from(healthyFacts(), (facts) => {
      const waiting = { what: 'WAL 0/5', since: '2026-06-01T11:00:00Z', deadline: '2026-06-01T11:30:00Z' };
      instance(facts, 'demo-3').report = testReport('demo-3', 'replica', { waiting });
    }),
    phase: 'Degraded',
    reason: /demo-3: it has waited for WAL 0\/5 since .*past its deadline/,
  },
  {
    name: 'nobody leads: a failover, and who it was and why',
    facts: from(healthyFacts(), (facts) => {
      facts.lease = {
        ...testLease(null, ['demo-1', 'demo-2', 'demo-3']),
        leader: { name: 'demo-1', podUID: 'uid-demo-1', address: '' },
      };
      delete instance(facts, 'demo-1').report;
      instance(facts, 'demo-1').silent = 'no answer in time';
    }),
    phase: 'Failover',
    reason:
      /no primary: demo-1 was the last, it does not answer: no answer in time; the instances elect another/,
  },
  {
    name: 'the holder has not renewed for long',
    facts: from(healthyFacts(), (facts) => {
      facts.leaseUnchangedMs = 60_000;
      delete instance(facts, 'demo-1').report;
      instance(facts, 'demo-1').silent = 'host unreachable';
    }),
    phase: 'Failover',
    reason: /demo-1 has not renewed its Lease since .*host unreachable/,
  },
  {
    name: 'a hand-over by name is a switchover',
    facts: from(healthyFacts(), (facts) => {
      facts.lease = {
        ...testLease(null, ['demo-1', 'demo-2', 'demo-3']),
        leader: { name: 'demo-1', podUID: 'uid-demo-1', address: '' },
        handover: { to: 'demo-2', position: '0/5', at: '' },
      };
    }),
    phase: 'Switchover',
    reason: /demo-1 hands over to demo-2/,
  },
  {
    name: 'whoever is promoted in a switchover ends it',
    facts: from(healthyFacts(), (facts) => {
      facts.cluster.status = { ...facts.cluster.status, phase: 'Switchover' };
      instance(facts, 'demo-1').report = testReport('demo-1', 'replica', { state: 'promoting' });
    }),
    phase: 'Switchover',
    reason: /demo-1 is being promoted/,
  },
  {
    name: 'the old pod of the holder is gone: nobody leads',
    facts: from(healthyFacts({}, 1), (facts) => {
      instance(facts, 'demo-1').pod!.metadata.uid = 'another';
    }),
    phase: 'Degraded',
    reason: /no primary: demo-1 was the last, .*waiting for it to come back/,
  },
  {
    name: 'commits that wait are said, with the way out',
    facts: from(healthyFacts(ANY1), (facts) => {
      synced(facts, []);
      for (const name of ['demo-2', 'demo-3'])
        instance(facts, name).report = testReport(name, 'replica', { streaming: false });
    }),
    phase: 'WaitingForSync',
    reason: /0 of 1 synchronous replicas confirm \(demo-2: .*; demo-3: .*\).*dataDurability":"preferred"/,
  },
  {
    name: 'a primary that is asked to hand over lets go of its replicas when it stops',
    facts: from(healthyFacts(ANY1), (facts) => {
      synced(facts, []);
      const mark = JSON.stringify({ id: 'x', from: 'demo-1' });
      facts.cluster.metadata.annotations = { 'pgherd.io/switchover': mark };
    }),
    phase: 'Switchover',
    reason: /^demo-1 hands over$/,
  },
  {
    name: 'one that is asked and waits for a target has replicas that do not confirm',
    facts: from(healthyFacts(ANY1), (facts) => {
      synced(facts, []);
      const mark = JSON.stringify({ id: 'x', from: 'demo-1' });
      facts.cluster.metadata.annotations = { 'pgherd.io/switchover': mark };
      const one = instance(facts, 'demo-1');
      const what = 'a replica to be ready for the hand-over';
      one.report = { ...one.report!, waiting: { what, since: '2026-06-01T12:00:00Z' } };
    }),
    phase: 'WaitingForSync',
    reason: /0 of 1/,
  },
  {
    name: 'the number that is in force counts, not the one that is to come',
    facts: from(
      healthyFacts({ instances: 4, postgresql: { synchronous: { method: 'any', number: 3 } } }, 3),
      (facts) => {
        synced(facts, ['quorum', 'quorum']);
        const one = instance(facts, 'demo-1');
        one.report = { ...one.report!, syncNames: 'ANY 2 ("demo-2", "demo-3")' };
      },
    ),
    phase: 'ScalingUp',
    reason: /^adding demo-4; until then commits wait for 2 instead of 3 replicas$/,
  },
  {
    name: 'those that take themselves for well, but confirm nothing, are named',
    facts: from(healthyFacts(ANY1), (facts) => synced(facts, [])),
    phase: 'WaitingForSync',
    reason: /\(demo-2: demo-1 hears no confirmation of it; demo-3: demo-1 hears/,
  },
  {
    name: 'preferred, and no replica is left: commits are not protected',
    facts: from(healthyFacts(PREFERRED), (facts) => {
      synced(facts, []);
      inForce(facts, '');
      for (const name of ['demo-2', 'demo-3'])
        instance(facts, name).report = testReport(name, 'replica', { streaming: false });
    }),
    phase: 'Degraded',
    reason: /demo-3: .*; until then commits wait for no replica, and a failover may lose them$/,
  },
  {
    name: 'preferred, and the number can never be met',
    facts: from(healthyFacts({ ...PREFERRED, failoverPriority: { 'demo-2': 0 } }), (facts) =>
      inForce(facts, 'ANY 1 ("demo-3")'),
    ),
    phase: 'Degraded',
    reason: /no commit waits for demo-2 .*lower the number; until then commits wait for 1 instead of 2/,
  },
  {
    name: 'one that never leads is not blamed for not confirming',
    facts: from(healthyFacts({ ...ANY1, failoverPriority: { 'demo-3': 0 } }), (facts) =>
      synced(facts, ['', 'async']),
    ),
    phase: 'WaitingForSync',
    reason: /demo-3: no commit waits for it/,
  },
  {
    name: 'enough confirm: one that does not stream only degrades',
    facts: from(healthyFacts(ANY1), (facts) => {
      synced(facts, ['quorum']);
      instance(facts, 'demo-3').report = testReport('demo-3', 'replica', { streaming: false });
    }),
    phase: 'Degraded',
    reason: /demo-3/,
  },
  {
    name: 'too few instances for the rule: refused, and the cluster goes on',
    facts: () => {
      const facts = healthyFacts({ instances: 1, ...ANY1 }, 3);
      synced(facts, ['quorum', 'quorum']);
      return facts;
    },
    phase: 'Degraded',
    reason: /the spec is refused and nothing was changed: spec\.instances/,
  },
  {
    name: 'a priority for an instance of another cluster',
    facts: () => bareFacts(testCluster({ failoverPriority: { 'other-2': 3, 'demo-2': 2 } })),
    phase: 'Failed',
    reason:
      /spec is refused: spec.failoverPriority: other-2 cannot be an instance .*demo-1, demo-2 and so on/,
  },
  {
    name: 'refused before anything was made',
    facts: () => bareFacts(testCluster({ instances: 1, ...ANY1 })),
    phase: 'Failed',
    reason: /the spec is refused/,
  },
  {
    name: 'growing',
    facts: () => healthyFacts({ instances: 4 }, 3),
    phase: 'ScalingUp',
    reason: /adding demo-4/,
  },
  {
    name: 'shrinking',
    facts: () => healthyFacts({ instances: 2 }, 3),
    phase: 'ScalingDown',
    reason: /removing demo-3, waiting for demo-1 to stop counting/,
  },
  {
    name: 'shrinking that does not get on',
    facts: from(healthyFacts({ instances: 2 }, 3), (facts) => {
      instance(facts, 'demo-3').pod = testPod(facts, 'demo-3', { leaving: '2026-06-01T11:00:00Z' });
    }),
    phase: 'Degraded',
    reason: /removing demo-3, .* past the deadline 2026-06-01T11:01:00/,
  },
  {
    name: 'rolling',
    facts: from(healthyFacts(), (facts) => {
      facts.cluster.spec.imageName = 'other:15';
    }),
    phase: 'Upgrading',
    reason: /new pods for demo-1, demo-2, demo-3/,
  },
  {
    name: 'rolling that is stuck at an image',
    facts: from(healthyFacts(), (facts) => {
      facts.cluster.spec.imageName = 'nope:15';
      const pod = testPod(facts, 'demo-3', { ready: false });
      pod.status = {
        phase: 'Pending',
        containerStatuses: [
          {
            name: 'postgres',
            ready: false,
            restartCount: 0,
            image: '',
            imageID: '',
            state: { waiting: { reason: 'ErrImagePull', message: 'no nope:15' } },
          },
        ],
      };
      const three = instance(facts, 'demo-3');
      three.pod = pod;
      delete three.report;
    }),
    phase: 'Degraded',
    reason:
      /new pods for demo-1, demo-2, waiting for demo-3 to be healthy: demo-3: .*ErrImagePull: no nope:15/,
  },
  {
    name: 'a Lease that cannot be read',
    facts: from(healthyFacts({ instances: 2 }), (facts) => {
      delete facts.lease;
      facts.leaseProblem = 'the annotation cannot be read';
    }),
    phase: 'Degraded',
    reason: /the annotation cannot be read/,
  },
  {
    name: 'what the API refuses is said',
    facts: () => healthyFacts(),
    failures: ['creating Pod default/demo-3: exceeded quota'],
    phase: 'Degraded',
    reason: /exceeded quota/,
  },
  {
    name: "a secret that is the user's to make",
    facts: () =>
      bareFacts(
        testCluster({ bootstrap: { initdb: { database: 'app', owner: 'app', secret: { name: 'mine' } } } }),
      ),
    phase: 'Creating',
    reason: /secret mine that the spec names does not exist/,
  },
  {
    name: 'a cluster that is going',
    facts: from(healthyFacts(), (facts) => {
      facts.cluster.metadata.deletionTimestamp = '2026-06-01T11:59:00Z';
    }),
    phase: 'Deleting',
    reason: /being deleted/,
  },
];

for (const { name, facts: given, failures = [], phase, reason } of cases)
  test(name, () => {
    const facts = given();
    const status = deriveStatus({ facts, plan: plan(facts), failures });
    assert.equal(status.phase, phase, status.phaseReason);
    assert.match(status.phaseReason ?? '', reason);
    const ready = status.conditions?.find(({ type }) => type === 'Ready');
    assert.equal(ready?.status, phase === 'Ready' ? 'True' : 'False');
  });

test('the same facts later give the same status', () => {
  const facts = healthyFacts();
  const first = deriveStatus({ facts, plan: plan(facts), failures: [] });
  facts.cluster.status = first;
  facts.now += 3_600_000;
  assert.deepEqual(deriveStatus({ facts, plan: plan(facts), failures: [] }), first);
});
