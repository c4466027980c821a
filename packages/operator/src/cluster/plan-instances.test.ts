import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANNOTATION_LEAVING } from '@pgherd/api';
import {
  bareFacts,
  healthyFacts,
  instance,
  NOW,
  testClaim,
  testCluster,
  testLease,
  testPod,
  testReport,
} from '../testing/facts.ts';
import type { Action } from './actions.ts';
import type { Facts } from './facts.ts';
import { planInstances } from './plan-instances.ts';

/** An action in a few words, so that a table is readable. */
function short(action: Action): string {
  switch (action.do) {
    case 'createInstance':
      return `create ${action.name} [${action.claims.map(({ metadata }) => metadata.name).join(' ')}]`;
    case 'patch':
      return `patch ${action.kind.kind} ${action.name} ${JSON.stringify(action.body)}`;
    case 'delete':
      return `delete ${action.kind.kind} ${action.name} ${action.uid}`;
    default:
      return action.do;
  }
}

const leave = (name: string, value: string | null) =>
  `patch Pod ${name} ${JSON.stringify({ metadata: { annotations: { [ANNOTATION_LEAVING]: value } } })}`;

const leaveVolume = (name: string) => leave(name, TODAY).replace('Pod', 'PersistentVolumeClaim');

/** Its pod was told to stop so many seconds ago, with half an hour of grace, and is silent. */
function stop(facts: Facts, name: string, secondsAgo: number): void {
  const stopped = instance(facts, name);
  stopped.report = undefined as never;
  Object.assign(stopped.pod!.metadata, {
    deletionTimestamp: new Date(NOW + (1_800 - secondsAgo) * 1_000).toISOString(),
    deletionGracePeriodSeconds: 1_800,
  });
}

const TODAY = new Date(NOW).toISOString();

interface Case {
  name: string;
  facts: () => Facts;
  actions: string[];
  intent?: string;
}

function spoiled(facts: Facts, spoil: (facts: Facts) => void): () => Facts {
  return () => {
    spoil(facts);
    return facts;
  };
}

const cases: Case[] = [
  {
    name: 'a new cluster gets all instances at once',
    facts: () => bareFacts(),
    actions: ['create demo-1 [demo-1]', 'create demo-2 [demo-2]', 'create demo-3 [demo-3]'],
    intent: 'creating',
  },
  {
    name: 'a WAL volume of its own is a second claim',
    facts: () => bareFacts(testCluster({ instances: 1, walStorage: { size: '1Gi' } })),
    actions: ['create demo-1 [demo-1 demo-1-wal]'],
    intent: 'creating',
  },
  {
    name: 'a pod that is being stopped is waited for',
    facts: spoiled(healthyFacts(), (facts) => stop(facts, 'demo-2', 60)),
    actions: [],
  },
  {
    name: 'one that does not stop, since its node is dead, gets another instance beside it',
    facts: spoiled(healthyFacts(), (facts) => stop(facts, 'demo-2', 200)),
    actions: ['create demo-4 [demo-4]', leave('demo-2', TODAY), leaveVolume('demo-2')],
    intent: 'scalingUp',
  },
  {
    name: 'while it still says something, it is waited for',
    facts: spoiled(healthyFacts(), (facts) => {
      const { report } = instance(facts, 'demo-2');
      stop(facts, 'demo-2', 200);
      instance(facts, 'demo-2').report = report as never;
    }),
    actions: [],
  },
  {
    name: 'the place of a leader that does not stop is not taken while nobody else leads',
    facts: spoiled(healthyFacts(), (facts) => stop(facts, 'demo-1', 200)),
    actions: [],
  },
  {
    name: 'whose place was taken goes when its pod has gone at last, its volume too',
    facts: spoiled(healthyFacts(), (facts) => {
      const replaced = instance(facts, 'demo-2');
      replaced.pod = undefined as never;
      replaced.data!.metadata.annotations![ANNOTATION_LEAVING] = TODAY;
      facts.spec.instances = 2;
      facts.lease!.members = facts.lease!.members.filter(({ name }) => name !== 'demo-2');
      facts.lease!.rules = [];
    }),
    actions: ['delete PersistentVolumeClaim demo-2 uid-claim-2'],
    intent: 'scalingDown',
  },
  {
    name: 'a claim that is not bound yet cannot grow',
    facts: spoiled(healthyFacts(), (facts) => {
      facts.spec.storage.size = '2Gi';
      for (const { data } of facts.instances) {
        data!.status = { phase: data!.metadata.name === 'demo-1' ? 'Bound' : 'Pending' };
      }
    }),
    actions: ['patch PersistentVolumeClaim demo-1 {"spec":{"resources":{"requests":{"storage":"2Gi"}}}}'],
  },
  { name: 'a healthy cluster needs nothing', facts: () => healthyFacts(), actions: [], intent: 'steady' },
  {
    name: 'a missing pod comes back on its volume',
    facts: spoiled(healthyFacts(), (facts) => {
      instance(facts, 'demo-2').pod = undefined as never;
    }),
    actions: ['create demo-2 []'],
  },
  {
    name: 'a member that lost pod and volume comes back under its own name, with a new volume',
    facts: spoiled(healthyFacts(), (facts) => {
      facts.instances = facts.instances.filter(({ name }) => name !== 'demo-2');
    }),
    actions: ['create demo-2 [demo-2]'],
  },
  {
    name: 'the first instance lost before there is a database is made again under its own name',
    facts: spoiled(bareFacts(testCluster({}, { phase: 'Initializing', latestGeneratedNode: 3 })), (facts) => {
      facts.lease = testLease(null, [], { systemID: undefined as never });
      delete facts.lease.systemID;
      facts.instances = [2, 3].map((serial) => ({
        name: `demo-${serial}`,
        serial,
        pod: testPod(facts, `demo-${serial}`),
        data: testClaim(facts, serial),
      }));
    }),
    actions: ['create demo-1 [demo-1]'],
    intent: 'creating',
  },
  {
    name: 'a volume that is going has to be gone before its name is used again',
    facts: spoiled(healthyFacts(), (facts) => {
      const two = instance(facts, 'demo-2');
      two.pod = undefined as never;
      two.data!.metadata.deletionTimestamp = TODAY;
    }),
    actions: [],
  },
  {
    name: 'an evicted pod is replaced',
    facts: spoiled(healthyFacts(), (facts) => {
      instance(facts, 'demo-3').pod!.status = { phase: 'Failed', reason: 'Evicted' };
    }),
    actions: ['delete Pod demo-3 uid-demo-3'],
  },
  {
    name: 'more instances take new numbers, never an old one',
    facts: () => healthyFacts({ instances: 5 }, 3, { latestGeneratedNode: 7 }),
    actions: ['create demo-8 [demo-8]', 'create demo-9 [demo-9]'],
    intent: 'scalingUp',
  },
  {
    name: 'fewer instances: the highest that is not primary is told to leave, one at a time',
    facts: () => healthyFacts({ instances: 1 }),
    actions: [leave('demo-3', TODAY)],
    intent: 'scalingDown',
  },
  {
    name: 'fewer instances: one that does not answer goes before those that are well',
    facts: spoiled(healthyFacts({ instances: 2 }), (facts) => {
      const two = instance(facts, 'demo-2');
      two.report = undefined as never;
      two.silent = 'no answer in time';
    }),
    actions: [leave('demo-2', TODAY)],
    intent: 'scalingDown',
  },
  {
    name: 'one that was not asked yet is not ill',
    facts: spoiled(healthyFacts({ instances: 2 }), (facts) => {
      instance(facts, 'demo-2').report = undefined as never;
    }),
    actions: [leave('demo-3', TODAY)],
    intent: 'scalingDown',
  },
  {
    name: 'a fenced one is kept for whoever looks at it',
    facts: spoiled(healthyFacts({ instances: 2 }), (facts) => {
      facts.cluster.metadata.annotations = { 'pgherd.io/fenced': '["demo-2"]' };
      instance(facts, 'demo-2').report = testReport('demo-2', 'replica', { streaming: false });
    }),
    actions: [leave('demo-3', TODAY)],
    intent: 'scalingDown',
  },
  {
    name: 'one that leaves and is well stays after all when the one that was to stay falls ill',
    facts: spoiled(healthyFacts({ instances: 2 }), (facts) => {
      const three = instance(facts, 'demo-3');
      three.pod = testPod(facts, 'demo-3', { leaving: TODAY });
      three.pod.metadata.labels!['pgherd.io/role'] = 'replica';
      three.pod.status = instance(facts, 'demo-2').pod!.status!;
      instance(facts, 'demo-2').report = testReport('demo-2', 'replica', { streaming: false });
    }),
    actions: [leave('demo-3', null), leave('demo-2', TODAY)],
    intent: 'scalingDown',
  },
  {
    name: 'the primary stays even with the highest number',
    facts: spoiled(healthyFacts({ instances: 2 }), (facts) => {
      facts.lease = testLease('demo-3', ['demo-1', 'demo-2', 'demo-3']);
      for (const each of facts.instances) {
        const role = each.name === 'demo-3' ? 'primary' : 'replica';
        each.pod!.metadata.labels!['pgherd.io/role'] = role;
        each.report = testReport(each.name, role);
      }
    }),
    actions: [leave('demo-2', TODAY)],
    intent: 'scalingDown',
  },
  {
    name: 'nobody leaves while nobody leads',
    facts: spoiled(healthyFacts({ instances: 2 }), (facts) => {
      facts.lease = testLease(null, ['demo-1', 'demo-2', 'demo-3']);
    }),
    actions: [],
  },
  {
    name: 'one that leaves stays as long as the leader counts it',
    facts: spoiled(healthyFacts({ instances: 2 }), (facts) => {
      const three = instance(facts, 'demo-3');
      three.pod = testPod(facts, 'demo-3', { leaving: TODAY });
      three.pod.metadata.labels!['pgherd.io/role'] = 'replica';
    }),
    actions: [],
    intent: 'scalingDown',
  },
  {
    name: 'as long as a commit rule names it, too',
    facts: spoiled(healthyFacts({ instances: 2 }), (facts) => {
      const three = instance(facts, 'demo-3');
      three.pod = testPod(facts, 'demo-3', { leaving: TODAY });
      three.pod.metadata.labels!['pgherd.io/role'] = 'replica';
      const rule = { method: 'any' as const, number: 1, names: ['demo-2', 'demo-3'], required: true };
      facts.lease = testLease('demo-1', ['demo-1', 'demo-2'], { rules: [rule] });
    }),
    actions: [],
    intent: 'scalingDown',
  },
  {
    name: 'let go by the leader, its pod is deleted',
    facts: spoiled(healthyFacts({ instances: 2 }), (facts) => {
      const three = instance(facts, 'demo-3');
      three.pod = testPod(facts, 'demo-3', { leaving: TODAY });
      three.pod.metadata.labels!['pgherd.io/role'] = 'replica';
      facts.lease = testLease('demo-1', ['demo-1', 'demo-2']);
    }),
    actions: ['delete Pod demo-3 uid-demo-3'],
    intent: 'scalingDown',
  },
  {
    name: 'nobody is deleted while the Lease is gone: who is counted is not known',
    facts: spoiled(healthyFacts({ instances: 2 }), (facts) => {
      const three = instance(facts, 'demo-3');
      three.pod = testPod(facts, 'demo-3', { leaving: TODAY });
      three.pod.metadata.labels!['pgherd.io/role'] = 'replica';
      facts.cluster.status = { systemID: '7' };
      facts.lease = undefined as never;
    }),
    actions: [],
    intent: 'scalingDown',
  },
  {
    name: 'nor while it was made anew, and the leader has not taken it yet',
    facts: spoiled(healthyFacts({ instances: 2 }), (facts) => {
      const three = instance(facts, 'demo-3');
      three.pod = testPod(facts, 'demo-3', { leaving: TODAY });
      three.pod.metadata.labels!['pgherd.io/role'] = 'replica';
      facts.lease = { holder: null, epoch: 3, designated: 'demo-1', systemID: '7', members: [], rules: [] };
    }),
    actions: [],
    intent: 'scalingDown',
  },
  {
    name: 'then its volume',
    facts: spoiled(healthyFacts({ instances: 2 }), (facts) => {
      instance(facts, 'demo-3').pod = undefined as never;
      facts.lease = testLease('demo-1', ['demo-1', 'demo-2']);
    }),
    actions: ['delete PersistentVolumeClaim demo-3 uid-claim-3'],
    intent: 'scalingDown',
  },
  {
    name: 'one without a pod that is still counted gets a pod to say that it leaves',
    facts: spoiled(healthyFacts({ instances: 2 }), (facts) => {
      instance(facts, 'demo-3').pod = undefined as never;
    }),
    actions: ['create demo-3 []'],
    intent: 'scalingDown',
  },
  {
    name: 'wanted again before it went: it stays',
    facts: spoiled(healthyFacts(), (facts) => {
      const three = instance(facts, 'demo-3');
      three.pod = testPod(facts, 'demo-3', { leaving: TODAY });
      three.pod.metadata.labels!['pgherd.io/role'] = 'replica';
    }),
    actions: [leave('demo-3', null)],
  },
  {
    name: 'one that became primary while it was to leave stays; another goes',
    facts: spoiled(healthyFacts({ instances: 2 }), (facts) => {
      const three = instance(facts, 'demo-3');
      three.pod = testPod(facts, 'demo-3', { leaving: TODAY });
      three.pod.metadata.labels!['pgherd.io/role'] = 'primary';
      const one = instance(facts, 'demo-1');
      one.pod!.metadata.labels!['pgherd.io/role'] = 'replica';
      one.report = testReport('demo-1', 'replica');
      facts.lease = testLease('demo-3', ['demo-1', 'demo-2', 'demo-3']);
    }),
    actions: [leave('demo-3', null), leave('demo-2', TODAY)],
    intent: 'scalingDown',
  },
  {
    name: 'fewer instances than the commit rule needs: refused, nothing done',
    facts: () => healthyFacts({ instances: 1, postgresql: { synchronous: { method: 'any', number: 1 } } }, 3),
    actions: [],
  },
  {
    name: 'while the spec is refused, a missing pod still comes back',
    facts: spoiled(
      healthyFacts({ instances: 1, postgresql: { synchronous: { method: 'any', number: 1 } } }, 3),
      (facts) => {
        instance(facts, 'demo-2').pod = undefined as never;
      },
    ),
    actions: ['create demo-2 []'],
  },
  {
    name: 'after a failover the labels change',
    facts: spoiled(healthyFacts(), (facts) => {
      facts.lease = testLease('demo-2', ['demo-1', 'demo-2', 'demo-3']);
    }),
    actions: [
      'patch Pod demo-1 {"metadata":{"labels":{"pgherd.io/role":"replica"}}}',
      'patch Pod demo-2 {"metadata":{"labels":{"pgherd.io/role":"primary"}}}',
    ],
  },
  {
    name: 'a pod that only bears the name of the holder is not labelled as primary',
    facts: spoiled(healthyFacts(), (facts) => {
      const one = instance(facts, 'demo-1');
      one.pod!.metadata.uid = 'another';
      one.pod!.metadata.labels!['pgherd.io/role'] = 'replica';
    }),
    actions: [],
  },
  {
    name: 'volumes grow, and never shrink',
    facts: spoiled(healthyFacts({ storage: { size: '2Gi' } }, 1), (facts) => {
      instance(facts, 'demo-1').data!.spec.resources = { requests: { storage: '1024Mi' } };
    }),
    actions: ['patch PersistentVolumeClaim demo-1 {"spec":{"resources":{"requests":{"storage":"2Gi"}}}}'],
  },
  {
    name: 'a change of the pod starts with the highest replica',
    facts: spoiled(healthyFacts(), (facts) => {
      facts.cluster.spec.imageName = 'other:15';
    }),
    actions: ['delete Pod demo-3 uid-demo-3'],
    intent: 'rolling',
  },
  {
    name: 'the primary comes last',
    facts: spoiled(healthyFacts(), (facts) => {
      facts.cluster.spec.imageName = 'other:15';
      for (const name of ['demo-2', 'demo-3']) {
        const one = instance(facts, name);
        one.pod = testPod(facts, name);
        one.pod.metadata.labels!['pgherd.io/role'] = 'replica';
      }
    }),
    actions: ['delete Pod demo-1 uid-demo-1'],
    intent: 'rolling',
  },
  {
    name: 'nothing more is rolled while a replaced one does not stream yet',
    facts: spoiled(healthyFacts(), (facts) => {
      facts.cluster.spec.imageName = 'other:15';
      const three = instance(facts, 'demo-3');
      three.pod = testPod(facts, 'demo-3', { ready: false });
      three.pod.metadata.labels!['pgherd.io/role'] = 'replica';
      three.report = testReport('demo-3', 'replica', { streaming: false });
    }),
    actions: [],
    intent: 'rolling',
  },
  {
    name: 'a pod that never started is replaced at once when the spec changed',
    facts: spoiled(healthyFacts(), (facts) => {
      facts.cluster.spec.imageName = 'other:15';
      instance(facts, 'demo-3').pod!.status = { phase: 'Pending' };
    }),
    actions: ['delete Pod demo-3 uid-demo-3'],
    intent: 'rolling',
  },
  {
    name: 'settings that wait for a restart are rolled out, replicas first',
    facts: spoiled(healthyFacts(), (facts) => {
      for (const name of ['demo-1', 'demo-2']) {
        const one = instance(facts, name);
        one.report = { ...one.report!, pendingRestart: true };
      }
    }),
    actions: ['delete Pod demo-2 uid-demo-2'],
    intent: 'rolling',
  },
  {
    name: 'another image that holds /pgherd restarts nothing',
    facts: spoiled(healthyFacts(), (facts) => {
      facts.operatorImage = 'pgherd:next';
    }),
    actions: [],
    intent: 'steady',
  },
];

for (const { name, facts, actions, intent } of cases)
  test(name, () => {
    const planned = planInstances(facts());
    assert.deepEqual(planned.actions.map(short), actions);
    if (intent) assert.equal(planned.intent.what, intent);
  });
