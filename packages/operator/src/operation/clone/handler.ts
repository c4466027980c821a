/** A new cluster with the data of this one. */
import { isKubeError } from '@pgherd/kube';
import { ClusterKind, type ClusterObject } from '../../cluster/kind.ts';
import { type BaseFacts, defineHandler } from '../handler.ts';
import { seal, servingPrimary } from '../seal.ts';
import { abandonClone, type CloneAction, type CloneFacts, isToSeal, planClone, STEPS } from './plan.ts';

export const clone = defineHandler<CloneFacts, CloneAction>({
  steps: STEPS,
  defaultDeadlineSeconds: 24 * 3600,
  exclusive: false,
  async observe(context, base: BaseFacts): Promise<CloneFacts> {
    const { client, signal } = context;
    const { namespace } = base.operation.metadata;
    const name = base.operation.spec.clone?.name ?? '';
    const copy = await client.find(ClusterKind, { namespace, name }, { signal });
    if (copy) return { ...base, copy };
    const primary = isToSeal(base) ? servingPrimary(base) : undefined;
    return primary ? { ...base, seal: await seal(context, base, primary) } : base;
  },
  plan: planClone,
  async act({ client, signal }, { operation }, actions) {
    const { namespace } = operation.metadata;
    for (const action of actions) {
      try {
        if (action.do === 'createCluster')
          await client.create(ClusterKind, action.object as ClusterObject, { signal });
        else {
          const { name, uid } = action;
          await client.delete(ClusterKind, { namespace, name }, { preconditions: { uid }, signal });
        }
      } catch (error) {
        // Made at an earlier look, or gone already: the next look sees it.
        if (!isKubeError(error, 'AlreadyExists', 'NotFound', 'Conflict')) throw error;
      }
    }
  },
  abandon: abandonClone,
});
