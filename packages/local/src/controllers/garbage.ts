import { isDeepStrictEqual } from 'node:util';
import { backoffMs, isKubeError, type Kind, type KubeObject, type OwnerReference } from '@pgherd/kube';
import { BY_OWNER, BY_UID, resourceName } from './caches.ts';
import { type Context, keyOf, splitKey, workQueue } from './context.ts';
import type { ServedKind } from './discovery.ts';

/** Garbage collection: what is owned goes when its owners have gone. */

const FOREGROUND = 'foregroundDeletion';
const ORPHAN = 'orphan';
/** Kinds that nothing owns, or that change too often to be worth a watch here. */
const IGNORED = new Set(['events', 'events.events.k8s.io']);

/** `waiting`: it is being deleted in the foreground and waits for what it owns. */
export type OwnerState = 'present' | 'waiting' | 'absent' | 'unknown';

export interface OwnerFact {
  reference: OwnerReference;
  state: OwnerState;
}

export type GarbageAction =
  | { type: 'none' }
  /** Take `orphan` off the object once it is off its dependents. */
  | { type: 'orphan'; dependents: KubeObject[] }
  | { type: 'finishForeground' }
  | { type: 'waitForDependents' }
  | { type: 'delete'; policy: 'Background' | 'Foreground' }
  | { type: 'dropOwners'; keep: OwnerReference[] };

/** What becomes of an object, given what became of its owners and who depends on it. Pure. */
export function judgeGarbage(
  object: KubeObject,
  owners: OwnerFact[],
  dependents: KubeObject[],
): GarbageAction {
  const { deletionTimestamp, finalizers = [], uid } = object.metadata;
  if (deletionTimestamp) {
    if (finalizers.includes(ORPHAN)) return { type: 'orphan', dependents };
    if (!finalizers.includes(FOREGROUND)) return { type: 'none' };
    const blocking = dependents.some(({ metadata }) =>
      metadata.ownerReferences?.some((owner) => owner.uid === uid && owner.blockOwnerDeletion),
    );
    return { type: blocking ? 'waitForDependents' : 'finishForeground' };
  }
  if (owners.length === 0 || owners.some(({ state }) => state === 'unknown')) return { type: 'none' };
  const present = owners.filter(({ state }) => state === 'present');
  const absent = owners.filter(({ state }) => state === 'absent');
  const waiting = owners.filter(({ state }) => state === 'waiting');
  if (present.length > 0) {
    const gone = [...absent, ...waiting];
    return gone.length === 0
      ? { type: 'none' }
      : { type: 'dropOwners', keep: present.map(({ reference }) => reference) };
  }
  // An owner that waits must see this object's own dependents gone too.
  const deeper = waiting.length > 0 && dependents.length > 0;
  return { type: 'delete', policy: deeper ? 'Foreground' : 'Background' };
}

/** Whether a change of an object can change what becomes of it. */
function matters(object: KubeObject, old: KubeObject | undefined): boolean {
  const { ownerReferences, deletionTimestamp, finalizers } = object.metadata;
  if (!ownerReferences?.length && !(deletionTimestamp && finalizers?.length)) return false;
  return (
    !old ||
    deletionTimestamp !== old.metadata.deletionTimestamp ||
    !isDeepStrictEqual(ownerReferences, old.metadata.ownerReferences) ||
    !isDeepStrictEqual(finalizers, old.metadata.finalizers)
  );
}

/** Runs the controller. */
export function startGarbageCollection(context: Context): void {
  new GarbageCollector(context).start();
}

class GarbageCollector {
  private readonly context: Context;
  private readonly watched = new Map<string, Kind>();
  private readonly queue;
  /** How often we could not tell what became of an object's owners. */
  private readonly puzzled = new Map<string, number>();

  constructor(context: Context) {
    this.context = context;
    this.queue = workQueue(context, 'garbage', (key) => this.reconcile(key), { concurrency: 8 });
  }

  start(): void {
    const { discovery, caches } = this.context;
    const refresh = workQueue(this.context, 'garbage-kinds', () => this.watchKinds(), { concurrency: 1 });
    refresh.add('all');
    caches.crds.onChange(() => {
      discovery.invalidate();
      refresh.add('all');
    });
  }

  /** Watches every kind that the API serves now, and stops for those it no longer does. */
  private async watchKinds(): Promise<void> {
    const { discovery, caches } = this.context;
    const served = (await discovery.kinds()).filter(isWatchable);
    for (const kind of served) {
      const name = resourceName(kind);
      if (this.watched.has(name)) continue;
      this.watched.set(name, kind);
      const cache = caches.of(kind as Kind);
      cache.onChange((object, old) => this.changed(name, object, old));
      // Owners that went before we looked left no trace in this cache: look at what they owned once more.
      cache.synced().then(
        () => this.reviewOwnedBy(kind),
        () => {},
      );
    }
    for (const [name, kind] of this.watched) {
      if (served.some((one) => resourceName(one) === name)) continue;
      this.watched.delete(name);
      caches.drop(kind);
    }
  }

  private reviewOwnedBy(owner: Kind): void {
    for (const [name, kind] of this.watched) {
      for (const object of this.context.caches.of(kind).list()) {
        const owned = object.metadata.ownerReferences?.some(
          (reference) => reference.kind === owner.kind && groupOf(reference.apiVersion) === owner.group,
        );
        if (owned) this.queue.add(`${name}|${keyOf(object)}`);
      }
    }
  }

  private changed(resource: string, object: KubeObject | undefined, old: KubeObject | undefined): void {
    if (object) {
      if (matters(object, old)) this.queue.add(`${resource}|${keyOf(object)}`);
      return;
    }
    // Gone: its dependents may have to follow, and owners may have waited for it.
    for (const [name, dependent] of this.dependents(old?.metadata.uid))
      this.queue.add(`${name}|${keyOf(dependent)}`);
    for (const { uid } of old?.metadata.ownerReferences ?? []) {
      for (const [name, owner] of this.find(BY_UID, uid)) {
        if (owner.metadata.deletionTimestamp) this.queue.add(`${name}|${keyOf(owner)}`);
      }
    }
  }

  private dependents(uid: string | undefined): [string, KubeObject][] {
    return uid ? this.find(BY_OWNER, uid) : [];
  }

  private find(index: string, key: string): [string, KubeObject][] {
    const found: [string, KubeObject][] = [];
    for (const [name, kind] of this.watched) {
      for (const object of this.context.caches.of(kind).byIndex(index, key)) found.push([name, object]);
    }
    return found;
  }

  private async reconcile(key: string): Promise<{ afterMs: number } | undefined> {
    const bar = key.indexOf('|');
    const kind = this.watched.get(key.slice(0, bar));
    if (!kind) return undefined;
    const { namespace, name } = splitKey(key.slice(bar + 1));
    const object = this.context.caches.of(kind).get(namespace, name);
    if (!object) {
      this.puzzled.delete(key);
      return undefined;
    }
    const owners = object.metadata.deletionTimestamp ? [] : await this.ownersOf(object);
    const dependents = this.dependents(object.metadata.uid);
    const action = judgeGarbage(
      object,
      owners,
      dependents.map(([, dependent]) => dependent),
    );
    await this.act(kind, object, dependents, action).catch((error) => {
      if (!isKubeError(error, 'NotFound')) throw error;
    });
    if (owners.every(({ state }) => state !== 'unknown')) {
      this.puzzled.delete(key);
      return undefined;
    }
    // The kind of an owner may be so new that we read the list of kinds before it.
    const times = this.puzzled.get(key) ?? 0;
    this.puzzled.set(key, times + 1);
    this.context.discovery.invalidate();
    return { afterMs: backoffMs(times, 100, 60_000) };
  }

  private async ownersOf(object: KubeObject): Promise<OwnerFact[]> {
    const facts: OwnerFact[] = [];
    for (const reference of object.metadata.ownerReferences ?? []) {
      const [known] = this.find(BY_UID, reference.uid);
      const state = known ? stateOf(known[1]) : await this.ask(object, reference);
      facts.push({ reference, state });
    }
    return facts;
  }

  /** Our caches may be behind: only the API itself can say that an owner does not exist. */
  private async ask(object: KubeObject, reference: OwnerReference): Promise<OwnerState> {
    const { client, discovery, log } = this.context;
    const kind = await discovery.find(reference.apiVersion, reference.kind);
    if (!kind) {
      log.debug({ object: keyOf(object), reference }, 'the kind of an owner is not served');
      return 'unknown';
    }
    const namespace = kind.namespaced ? object.metadata.namespace : undefined;
    // A cluster-wide object cannot be owned by one in a namespace.
    if (kind.namespaced && !namespace) return 'unknown';
    const owner = await client.find(kind as Kind, { namespace, name: reference.name });
    return owner?.metadata.uid === reference.uid ? stateOf(owner) : 'absent';
  }

  private async act(
    kind: Kind,
    object: KubeObject,
    dependents: [string, KubeObject][],
    action: GarbageAction,
  ): Promise<void> {
    const { client, log } = this.context;
    const { uid, resourceVersion } = object.metadata;
    switch (action.type) {
      case 'none':
        return;
      case 'orphan':
        for (const [name, dependent] of dependents) await this.release(name, dependent, uid!);
        return this.dropFinalizer(kind, object, ORPHAN);
      case 'waitForDependents':
        for (const [name, dependent] of dependents) this.queue.add(`${name}|${keyOf(dependent)}`);
        return;
      case 'finishForeground':
        return this.dropFinalizer(kind, object, FOREGROUND);
      case 'dropOwners':
        await client.patch(kind, object.metadata, {
          type: 'merge',
          body: { metadata: { uid, resourceVersion, ownerReferences: action.keep } },
        });
        return;
      case 'delete':
        log.info({ kind: kind.kind, object: keyOf(object) }, 'deleting what has no owner any more');
        return client.delete(kind, object.metadata, {
          propagationPolicy: action.policy,
          preconditions: { uid },
        });
    }
  }

  private async release(resource: string, dependent: KubeObject, ownerUid: string): Promise<void> {
    const kind = this.watched.get(resource)!;
    const { resourceVersion, ownerReferences = [] } = dependent.metadata;
    const keep = ownerReferences.filter(({ uid }) => uid !== ownerUid);
    const body = { metadata: { resourceVersion, ownerReferences: keep } };
    try {
      await this.context.client.patch(kind, dependent.metadata, { type: 'merge', body });
    } catch (error) {
      if (!isKubeError(error, 'NotFound')) throw error;
    }
  }

  private async dropFinalizer(kind: Kind, object: KubeObject, finalizer: string): Promise<void> {
    const { resourceVersion, finalizers = [] } = object.metadata;
    const body = { metadata: { resourceVersion, finalizers: finalizers.filter((one) => one !== finalizer) } };
    await this.context.client.patch(kind, object.metadata, { type: 'merge', body });
  }
}

function stateOf(owner: KubeObject): OwnerState {
  const { deletionTimestamp, finalizers = [] } = owner.metadata;
  return deletionTimestamp && finalizers.includes(FOREGROUND) ? 'waiting' : 'present';
}

function groupOf(apiVersion: string): string {
  return apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
}

function isWatchable(kind: ServedKind): boolean {
  return (
    ['list', 'watch', 'delete'].every((verb) => kind.verbs.includes(verb)) && !IGNORED.has(resourceName(kind))
  );
}
