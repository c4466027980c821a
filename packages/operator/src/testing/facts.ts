/** Facts for tables of cases: a healthy cluster of three, to be spoiled by each case. */
import { effective, type InstanceReport, instanceSerial, type LeaseRecord } from '@pgherd/api';
import type { PersistentVolumeClaim, Pod } from '@pgherd/kube';
import type { Facts, InstanceFacts } from '../cluster/facts.ts';
import type { ClusterObject } from '../cluster/kind.ts';
import { specProblems } from '../cluster/spec-problems.ts';
import { volumeClaims } from '../cluster/specs/claims.ts';
import { instancePod } from '../cluster/specs/pod.ts';

export const NOW = Date.parse('2026-06-01T12:00:00Z');

export function testCluster(spec: object = {}, status: object = {}): ClusterObject {
  return {
    apiVersion: 'pgherd.io/v1',
    kind: 'Cluster',
    metadata: {
      name: 'demo',
      namespace: 'default',
      uid: 'cluster-uid',
      resourceVersion: '1',
      generation: 1,
      creationTimestamp: '2026-06-01T11:59:50Z',
    },
    spec: { instances: 3, storage: { size: '1Gi' }, ...spec },
    ...(Object.keys(status).length > 0 ? { status } : {}),
  } as ClusterObject;
}

/** Facts without any child: what the first look sees. */
export function bareFacts(cluster: ClusterObject = testCluster()): Facts {
  const spec = effective(cluster);
  return {
    now: NOW,
    cluster,
    spec,
    operatorImage: 'pgherd:test',
    problems: specProblems(cluster, spec),
    instances: [],
    secrets: new Map(),
    highestSerial: cluster.status?.latestGeneratedNode ?? 0,
  };
}

export function testReport(name: string, role: 'primary' | 'replica', more: object = {}): InstanceReport {
  return {
    name,
    podUID: `uid-${name}`,
    identity: `uid-${name}/1`,
    role,
    state: 'running',
    ready: true,
    leader: role === 'primary',
    timeline: 1,
    streaming: role === 'replica',
    ...(role === 'replica' ? { upstream: 'demo-1' } : {}),
    replication: [],
    dataEmpty: false,
    ...more,
  };
}

export function testPod(facts: Facts, name: string, more: { leaving?: string; ready?: boolean } = {}): Pod {
  const serial = instanceSerial(facts.cluster.metadata.name, name)!;
  const pod = instancePod(facts, { serial, ...(more.leaving ? { leavingSince: more.leaving } : {}) });
  pod.metadata.uid = `uid-${name}`;
  pod.status = {
    phase: 'Running',
    podIP: `10.0.0.${serial}`,
    conditions: [{ type: 'Ready', status: more.ready === false ? 'False' : 'True' }],
  };
  return pod;
}

export function testClaim(facts: Facts, serial: number): PersistentVolumeClaim {
  const [claim] = volumeClaims(facts, serial) as [PersistentVolumeClaim];
  claim.metadata.uid = `uid-claim-${serial}`;
  claim.status = { phase: 'Bound' };
  return claim;
}

export function testLease(
  leader: string | null,
  members: string[],
  more: Partial<LeaseRecord> = {},
): LeaseRecord {
  return {
    holder: leader ? `uid-${leader}/1` : null,
    epoch: 3,
    renewTime: new Date(NOW - 1000).toISOString(),
    systemID: '7400000000000000001',
    designated: 'demo-1',
    ...(leader ? { leader: { name: leader, podUID: `uid-${leader}`, address: '10.0.0.1' } } : {}),
    members: members.map((name) => ({ name, incarnation: `inc-${name}` })),
    rules: [],
    ...more,
  };
}

/** A healthy cluster: demo-1 leads, the others stream. */
export function healthyFacts(spec: object = {}, count = 3, status: object = {}): Facts {
  const cluster = testCluster(
    { instances: count, ...spec },
    {
      phase: 'Ready',
      latestGeneratedNode: count,
      systemID: '7400000000000000001',
      currentPrimary: 'demo-1',
      ...status,
    },
  );
  const facts = bareFacts(cluster);
  const all = Array.from({ length: count }, (_, index) => `demo-${index + 1}`);
  facts.lease = testLease('demo-1', all);
  facts.instances = all.map((name): InstanceFacts => {
    const serial = instanceSerial('demo', name)!;
    const pod = testPod(facts, name);
    pod.metadata.labels = {
      ...pod.metadata.labels,
      'pgherd.io/role': serial === 1 ? 'primary' : 'replica',
    };
    return {
      name,
      serial,
      pod,
      data: testClaim(facts, serial),
      report: testReport(name, serial === 1 ? 'primary' : 'replica'),
    };
  });
  return facts;
}

export function instance(facts: Facts, name: string): InstanceFacts {
  const found = facts.instances.find((known) => known.name === name);
  if (!found) throw new Error(`no ${name} in these facts`);
  return found;
}
