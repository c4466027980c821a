import { collectionPath, isKubeError, type Kind, kinds, type Namespace } from '@pgherd/kube';
import { type Context, workQueue } from './context.ts';
import type { ServedKind } from './discovery.ts';

/** A namespace that is deleted takes everything in it along, and then goes. */

const FINALIZER = 'kubernetes';
/** Pods end at their own pace; we look again this often. */
const LOOK_AGAIN_MS = 250;

/** Whether there is anything to do for a namespace. Pure. */
export function isEmptying(namespace: Namespace | undefined): namespace is Namespace {
  return !!namespace?.metadata.deletionTimestamp && !!namespace.spec?.finalizers?.includes(FINALIZER);
}

/** Runs the controller. */
export function startNamespaces(context: Context): void {
  const { client, caches, discovery } = context;
  const { namespaces } = caches;
  const queue = workQueue(context, 'namespaces', reconcile);
  namespaces.onChange((namespace) => {
    if (isEmptying(namespace)) queue.add(namespace.metadata.name);
  });

  async function reconcile(name: string): Promise<{ afterMs: number } | undefined> {
    const namespace = namespaces.get(undefined, name);
    if (!isEmptying(namespace)) return undefined;
    const served = (await discovery.kinds()).filter(
      ({ namespaced, verbs }) => namespaced && verbs.includes('delete'),
    );
    let left = 0;
    for (const kind of served) left += await empty(kind, name);
    if (left > 0) return { afterMs: LOOK_AGAIN_MS };
    const fresh = await client.find(kinds.Namespace, { name });
    if (!isEmptying(fresh)) return undefined;
    const finalizers = fresh.spec?.finalizers?.filter((one) => one !== FINALIZER) ?? [];
    await client.json({
      method: 'PUT',
      path: `${collectionPath(kinds.Namespace)}/${name}/finalize`,
      body: { ...fresh, spec: { ...fresh.spec, finalizers } },
      doing: `finishing Namespace ${name}`,
    });
    return undefined;
  }

  /** Asks for the end of all objects of a kind; returns how many are still there. */
  async function empty(kind: ServedKind, namespace: string): Promise<number> {
    const { items } = await client.list(kind as Kind, { namespace });
    for (const { metadata } of items) {
      if (metadata.deletionTimestamp) continue;
      try {
        await client.delete(kind, { namespace, name: metadata.name }, { propagationPolicy: 'Background' });
      } catch (error) {
        if (!isKubeError(error, 'NotFound', 'Conflict')) throw error;
      }
    }
    if (items.length === 0) return 0;
    return (await client.list(kind as Kind, { namespace })).items.length;
  }
}
