import { mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  isKubeError,
  kinds,
  matchesSelector,
  type PersistentVolume,
  type PersistentVolumeClaim,
  quantity,
  type StorageClass,
} from '@pgherd/kube';
import { stateLayout } from '../state.ts';
import { BY_CLAIM, BY_UID } from './caches.ts';
import { type Context, keyOf, splitKey, workQueue } from './context.ts';
import { isFinished } from './pods.ts';
import { SELECTED_NODE } from './scheduler.ts';

/** Claims find or get their volumes; volumes without a claim go. A volume is a folder on this machine. */

export const PROTECTION = 'kubernetes.io/pvc-protection';
const PROVISIONED_BY = 'pv.kubernetes.io/provisioned-by';
const NO_PROVISIONER = 'kubernetes.io/no-provisioner';
const HOSTNAME = 'kubernetes.io/hostname';

export interface ClaimFacts {
  claim: PersistentVolumeClaim;
  storageClass: StorageClass | undefined;
  /** The volume named by the claim, if there. */
  volume: PersistentVolume | undefined;
  /** All volumes, to find one that fits. */
  volumes: PersistentVolume[];
  /** A pod that may still write mounts it. */
  inUse: boolean;
  /** Nodes that exist, the emptiest first: for claims that do not wait for a pod. */
  nodes: string[];
}

export type ClaimAction =
  | { type: 'none' }
  | { type: 'wait'; reason: string; message: string }
  | { type: 'protect' }
  | { type: 'release' }
  | { type: 'bind'; volume: PersistentVolume }
  | { type: 'provision'; node: string }
  | { type: 'status'; phase: 'Bound' | 'Lost'; capacity?: string; accessModes?: string[] }
  | { type: 'grow'; volume: PersistentVolume; to: string };

/** The next step for a claim. Pure. */
export function judgeClaim(facts: ClaimFacts): ClaimAction {
  const { claim, volume, inUse } = facts;
  const { deletionTimestamp, finalizers = [] } = claim.metadata;
  if (deletionTimestamp) return { type: finalizers.includes(PROTECTION) && !inUse ? 'release' : 'none' };
  if (!finalizers.includes(PROTECTION)) return { type: 'protect' };
  if (claim.spec.volumeName) return judgeNamed(facts, volume);
  const found = findVolume(facts);
  if (found) return { type: 'bind', volume: found };
  return judgeProvisioning(facts);
}

function judgeNamed({ claim, storageClass }: ClaimFacts, volume: PersistentVolume | undefined): ClaimAction {
  if (!volume) return claim.status?.phase === 'Bound' ? { type: 'status', phase: 'Lost' } : { type: 'none' };
  const owner = volume.spec.claimRef;
  if (owner?.uid !== claim.metadata.uid) {
    const free =
      !owner ||
      (!owner.uid && owner.name === claim.metadata.name && owner.namespace === claim.metadata.namespace);
    return free
      ? { type: 'bind', volume }
      : {
          type: 'wait',
          reason: 'FailedBinding',
          message: `volume "${volume.metadata.name}" already bound to a different claim.`,
        };
  }
  const capacity = volume.spec.capacity?.storage ?? '0';
  const wanted = claim.spec.resources?.requests?.storage ?? '0';
  if (quantity(wanted) > quantity(capacity) && storageClass?.allowVolumeExpansion)
    return { type: 'grow', volume, to: wanted };
  const known = claim.status;
  if (known?.phase === 'Bound' && known.capacity?.storage === capacity) return { type: 'none' };
  return { type: 'status', phase: 'Bound', capacity, accessModes: volume.spec.accessModes };
}

/** The smallest free volume that fits. */
function findVolume({ claim, volumes }: ClaimFacts): PersistentVolume | undefined {
  const {
    accessModes = [],
    resources,
    storageClassName = '',
    selector,
    volumeMode = 'Filesystem',
  } = claim.spec;
  const wanted = quantity(resources?.requests?.storage ?? '0');
  const size = (volume: PersistentVolume) => quantity(volume.spec.capacity?.storage ?? '0');
  const fitting = volumes.filter(({ metadata, spec, status }) => {
    const { claimRef } = spec;
    const mine = claimRef?.namespace === claim.metadata.namespace && claimRef?.name === claim.metadata.name;
    if (mine && (!claimRef?.uid || claimRef.uid === claim.metadata.uid)) return true;
    return (
      !claimRef &&
      !metadata.deletionTimestamp &&
      status?.phase !== 'Failed' &&
      (spec.storageClassName ?? '') === storageClassName &&
      (spec.volumeMode ?? 'Filesystem') === volumeMode &&
      accessModes.every((mode) => spec.accessModes?.includes(mode)) &&
      quantity(spec.capacity?.storage ?? '0') >= wanted &&
      (!selector || matchesSelector(metadata.labels, selector))
    );
  });
  return fitting.sort((a, b) => Number(!a.spec.claimRef) - Number(!b.spec.claimRef) || size(a) - size(b))[0];
}

function judgeProvisioning({ claim, storageClass, nodes }: ClaimFacts): ClaimAction {
  const name = claim.spec.storageClassName;
  if (!storageClass) {
    const message = name
      ? `storageclass.storage.k8s.io "${name}" not found`
      : 'no persistent volumes available for this claim and no storage class is set';
    return { type: 'wait', reason: name ? 'ProvisioningFailed' : 'FailedBinding', message };
  }
  const chosen = claim.metadata.annotations?.[SELECTED_NODE];
  if (storageClass.volumeBindingMode === 'WaitForFirstConsumer' && !chosen) {
    return {
      type: 'wait',
      reason: 'WaitForFirstConsumer',
      message: 'waiting for first consumer to be created before binding',
    };
  }
  if (storageClass.provisioner === NO_PROVISIONER) {
    return {
      type: 'wait',
      reason: 'FailedBinding',
      message: 'no persistent volumes available for this claim and its class has no provisioner',
    };
  }
  const node = chosen ?? nodes[0];
  return node
    ? { type: 'provision', node }
    : { type: 'wait', reason: 'ProvisioningFailed', message: 'there is no node yet' };
}

export type VolumeAction = { type: 'none' } | { type: 'phase'; phase: string } | { type: 'reclaim' };

/** The next step for a volume, given the claim it names (by uid). Pure. */
export function judgeVolume(
  volume: PersistentVolume,
  claim: PersistentVolumeClaim | undefined,
): VolumeAction {
  const { claimRef, persistentVolumeReclaimPolicy } = volume.spec;
  const phase = !claimRef?.uid ? 'Available' : claim ? 'Bound' : 'Released';
  const deletes = phase === 'Released' && persistentVolumeReclaimPolicy === 'Delete';
  if (deletes && volume.metadata.annotations?.[PROVISIONED_BY]) return { type: 'reclaim' };
  return volume.status?.phase === phase ? { type: 'none' } : { type: 'phase', phase };
}

/** The volume for a claim on a node: a folder. Pure. */
function volumeFor(
  claim: PersistentVolumeClaim,
  storageClass: StorageClass,
  node: string,
  folder: string,
): PersistentVolume {
  const { namespace, name, uid } = claim.metadata;
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: `pvc-${uid}`, annotations: { [PROVISIONED_BY]: storageClass.provisioner } },
    spec: {
      capacity: { storage: claim.spec.resources?.requests?.storage ?? '1Gi' },
      accessModes: claim.spec.accessModes,
      persistentVolumeReclaimPolicy: storageClass.reclaimPolicy ?? 'Delete',
      storageClassName: storageClass.metadata.name,
      volumeMode: claim.spec.volumeMode ?? 'Filesystem',
      claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid },
      hostPath: { path: join(folder, `pvc-${uid}`), type: 'DirectoryOrCreate' },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [{ matchExpressions: [{ key: HOSTNAME, operator: 'In', values: [node] }] }],
        },
      },
    },
  };
}

/** Runs the controller. */
export function startVolumes(context: Context): void {
  new Volumes(context).start();
}

class Volumes {
  private readonly context: Context;
  private readonly folder: string;
  private readonly claimQueue;
  private readonly volumeQueue;

  constructor(context: Context) {
    this.context = context;
    this.folder = stateLayout(context.state).volumes;
    this.claimQueue = workQueue(context, 'claims', (key) => this.reconcileClaim(key));
    this.volumeQueue = workQueue(context, 'volumes', (key) => this.reconcileVolume(key));
  }

  start(): void {
    const { claims, volumes, classes, pods, nodes } = this.context.caches;
    claims.onChange((claim, old) => {
      this.claimQueue.add(keyOf((claim ?? old)!));
      const volume = (claim ?? old)!.spec.volumeName;
      if (volume) this.volumeQueue.add(volume);
    });
    volumes.onChange((volume, old) => {
      const { metadata, spec } = (volume ?? old)!;
      this.volumeQueue.add(metadata.name);
      if (spec.claimRef?.name) this.claimQueue.add(`${spec.claimRef.namespace}/${spec.claimRef.name}`);
      else this.retry();
    });
    classes.onChange(() => this.retry());
    nodes.onChange((node, old) => {
      if (node && !old) this.retry();
    });
    pods.onChange((pod, old) => {
      if (pod && old && isFinished(pod) === isFinished(old)) return;
      for (const volume of (pod ?? old)!.spec.volumes ?? []) {
        const claim = volume.persistentVolumeClaim?.claimName;
        if (claim) this.claimQueue.add(`${(pod ?? old)!.metadata.namespace}/${claim}`);
      }
    });
  }

  private retry(): void {
    for (const claim of this.context.caches.claims.list())
      if (!claim.spec.volumeName) this.claimQueue.add(keyOf(claim));
  }

  private async reconcileClaim(key: string): Promise<void> {
    const { namespace, name } = splitKey(key);
    const { claims, classes, volumes, pods, nodes } = this.context.caches;
    const claim = claims.get(namespace, name);
    if (!claim) return;
    const { volumeName, storageClassName } = claim.spec;
    const all = volumes.list();
    const action = judgeClaim({
      claim,
      storageClass: storageClassName ? classes.get(undefined, storageClassName) : undefined,
      volume: volumeName ? volumes.get(undefined, volumeName) : undefined,
      volumes: all,
      inUse: pods.byIndex(BY_CLAIM, key).some((pod) => !isFinished(pod)),
      nodes: nodes
        .list()
        .map(({ metadata }) => metadata.name)
        .sort((a, b) => load(all, a) - load(all, b)),
    });
    await this.actOnClaim(claim, action);
  }

  private async actOnClaim(claim: PersistentVolumeClaim, action: ClaimAction): Promise<void> {
    const { client, caches, events, log } = this.context;
    const { resourceVersion, finalizers = [] } = claim.metadata;
    const patch = async (body: object, subresource?: string) =>
      caches.claims.absorb(
        await client.patch(kinds.PersistentVolumeClaim, claim.metadata, { type: 'merge', body, subresource }),
      );
    switch (action.type) {
      case 'none':
        return;
      case 'wait':
        return events(
          claim,
          action.reason === 'WaitForFirstConsumer' ? 'Normal' : 'Warning',
          action.reason,
          action.message,
        );
      case 'protect':
        return patch({ metadata: { resourceVersion, finalizers: [...finalizers, PROTECTION] } });
      case 'release':
        return patch({
          metadata: { resourceVersion, finalizers: finalizers.filter((one) => one !== PROTECTION) },
        });
      case 'bind':
        return this.bind(claim, action.volume);
      case 'provision': {
        const volume = await this.provision(claim, action.node);
        log.info({ claim: keyOf(claim), volume: volume.metadata.name, node: action.node }, 'volume made');
        return this.bind(claim, volume);
      }
      case 'grow':
        caches.volumes.absorb(
          await client.patch(kinds.PersistentVolume, action.volume.metadata, {
            type: 'merge',
            body: { spec: { capacity: { storage: action.to } } },
          }),
        );
        this.claimQueue.add(keyOf(claim));
        return events(claim, 'Normal', 'VolumeResizeSuccessful', `volume grown to ${action.to}`);
      case 'status': {
        const { phase, capacity, accessModes } = action;
        const status =
          phase === 'Bound'
            ? { phase, capacity: { storage: capacity }, accessModes, conditions: null }
            : { phase };
        return patch({ status }, 'status');
      }
    }
  }

  private async bind(claim: PersistentVolumeClaim, volume: PersistentVolume): Promise<void> {
    const { client, caches } = this.context;
    const { namespace, name, uid, resourceVersion } = claim.metadata;
    if (volume.spec.claimRef?.uid !== uid) {
      const claimRef = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid };
      const body = { metadata: { resourceVersion: volume.metadata.resourceVersion }, spec: { claimRef } };
      caches.volumes.absorb(
        await client.patch(kinds.PersistentVolume, volume.metadata, { type: 'merge', body }),
      );
    }
    if (claim.spec.volumeName === volume.metadata.name) return this.claimQueue.add(keyOf(claim));
    const body = {
      metadata: { resourceVersion, annotations: { 'pv.kubernetes.io/bind-completed': 'yes' } },
      spec: { volumeName: volume.metadata.name },
    };
    caches.claims.absorb(
      await client.patch(kinds.PersistentVolumeClaim, claim.metadata, { type: 'merge', body }),
    );
    this.claimQueue.add(keyOf(claim));
  }

  private async provision(claim: PersistentVolumeClaim, node: string): Promise<PersistentVolume> {
    const { client, caches } = this.context;
    const storageClass = caches.classes.get(undefined, claim.spec.storageClassName!)!;
    const wanted = volumeFor(claim, storageClass, node, this.folder);
    // Open to all by its own rights, closed by those of the folder around it: the agent gives it to its user.
    mkdirSync(wanted.spec.hostPath!.path, { recursive: true });
    try {
      const made = await client.create(kinds.PersistentVolume, wanted);
      caches.volumes.absorb(made);
      return made;
    } catch (error) {
      if (!isKubeError(error, 'AlreadyExists')) throw error;
      return client.get(kinds.PersistentVolume, wanted.metadata);
    }
  }

  private async reconcileVolume(name: string): Promise<void> {
    const { caches, client, log } = this.context;
    const volume = caches.volumes.get(undefined, name);
    if (!volume || volume.metadata.deletionTimestamp) return;
    const { claimRef } = volume.spec;
    let claim = claimRef?.uid ? caches.claims.byIndex(BY_UID, claimRef.uid)[0] : undefined;
    if (!claim && claimRef?.uid) {
      // A cache may be behind, and what follows destroys data: ask.
      const fresh = await client.find(kinds.PersistentVolumeClaim, {
        namespace: claimRef.namespace,
        name: claimRef.name!,
      });
      if (fresh?.metadata.uid === claimRef.uid) claim = fresh;
    }
    const action = judgeVolume(volume, claim);
    if (action.type === 'phase') {
      const body = { status: { phase: action.phase } };
      caches.volumes.absorb(
        await client.patch(kinds.PersistentVolume, volume.metadata, {
          type: 'merge',
          subresource: 'status',
          body,
        }),
      );
    }
    if (action.type !== 'reclaim') return;
    log.info(
      { volume: name, claim: `${claimRef?.namespace}/${claimRef?.name}` },
      'removing the volume of a deleted claim',
    );
    await rm(this.ownFolder(volume), { recursive: true, force: true });
    await client.delete(kinds.PersistentVolume, volume.metadata, {
      preconditions: { uid: volume.metadata.uid },
    });
  }

  /** Only ever a folder that we made: what an object says of itself must not name another. */
  private ownFolder(volume: PersistentVolume): string {
    return join(this.folder, volume.metadata.name);
  }
}

function load(volumes: PersistentVolume[], node: string): number {
  return volumes.filter(({ spec }) =>
    spec.nodeAffinity?.required?.nodeSelectorTerms.some(({ matchExpressions = [] }) =>
      matchExpressions.some(({ key, values }) => key === HOSTNAME && values?.includes(node)),
    ),
  ).length;
}
