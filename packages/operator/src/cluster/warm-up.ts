import { effective } from '@pgherd/api';
import { createAuthority, createLeaf } from '../pki.ts';
import { leafCheck } from './certificates.ts';
import type { ClusterObject } from './kind.ts';
import { plan } from './plan.ts';
import { specProblems } from './spec-problems.ts';
import { deriveStatus } from './status/derive.ts';

/**
 * Plans a cluster that nobody will ever see. A process's first look takes some 80 ms, most of it for reading the
 * schema and its rules; after this the first real cluster does not wait for that.
 */
export async function warmUp(operatorImage: string): Promise<void> {
  const cluster = {
    apiVersion: 'pgherd.io/v1',
    kind: 'Cluster',
    metadata: { name: 'warm-up', namespace: 'warm-up', uid: 'warm-up' },
    spec: { storage: { size: '1Gi' } },
  } as ClusterObject;
  const spec = effective(cluster);
  const problems = specProblems(cluster, spec);
  const now = Date.now();
  const facts = {
    now,
    cluster,
    spec,
    operatorImage,
    problems,
    instances: [],
    secrets: new Map(),
    highestSerial: 0,
  };
  deriveStatus({ facts, plan: plan(facts), failures: [] });
  const span = { now: new Date(now), days: 1 };
  const authority = await createAuthority({ commonName: 'warm-up', ...span });
  const { dnsNames } = leafCheck('server', facts);
  await createLeaf(authority, { commonName: 'warm-up', dnsNames, usage: 'server', ...span });
}
