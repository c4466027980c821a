import { instanceName, type LeaseRecord, names, writeLease } from '@pgherd/api';
import type { Lease } from '@pgherd/kube';
import { childMetadata, type SpecContext } from './metadata.ts';

/**
 * The cluster's Lease, as the operator makes it: at first naming who may initialise the database; when it was
 * lost, with the database's identity (nobody may initialise any more) and above every epoch that was seen, so
 * that instances take it for fresh silence.
 */
export function newLease(
  context: SpecContext,
  known: { designated: string; systemID?: string; epoch: number },
): Lease {
  const { name } = context.cluster.metadata;
  const record: LeaseRecord = {
    holder: null,
    epoch: known.epoch,
    designated: known.designated,
    // After a loss in the middle of a restore, the epochs before were of another state.
    ...(known.systemID || known.epoch === 0 ? {} : { begunAnew: known.epoch }),
    ...(known.systemID ? { systemID: known.systemID } : {}),
    members: [],
    rules: [],
  };
  const lease = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { ...childMetadata(context, names(name).lease) },
    spec: {},
  };
  // Whole seconds and at least one, as the API wants it; what instances go by is in the Cluster.
  return writeLease(lease, record, Math.max(1, Math.ceil(context.spec.primaryLease.takeMs / 1000))) as Lease;
}

/** The instance that initialises the database: the first. */
export function designatedInstance(cluster: string): string {
  return instanceName(cluster, 1);
}
