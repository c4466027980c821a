/** A new cluster with the data of this one. */
import { dataClaimName } from '@pgherd/api';
import { isKubeError, kinds } from '@pgherd/kube';
import { ClusterKind, type ClusterObject } from '../../cluster/kind.ts';
import { ownSource } from '../../cluster/recovery-source.ts';
import { designatedInstance } from '../../cluster/specs/lease.ts';
import { type BaseFacts, defineHandler, type HandlerContext } from '../handler.ts';
import type { OperationObject } from '../kind.ts';
import { askReachable } from '../reachable.ts';
import { seal, servingPrimary } from '../seal.ts';
import {
  abandonClone,
  type CloneAction,
  type CloneFacts,
  isToCheck,
  planClone,
  STEPS,
  withoutSource,
} from './plan.ts';

export const clone = defineHandler<CloneFacts, CloneAction>({
  steps: STEPS,
  begins: 'looks what can be copied',
  defaultDeadlineSeconds: 24 * 3600,
  exclusive: false,
  async observe(context, base: BaseFacts): Promise<CloneFacts> {
    const copy = await copyOf(context, base.operation);
    if (copy) return { ...base, copy };
    const claimed = base.notes.asked ? undefined : await claimOf(context, base.operation);
    if (claimed) return { ...base, claimed };
    return isToCheck(base) ? { ...base, ...(await look(context, base)) } : base;
  },
  plan: planClone,
  act: (context, { operation }, actions) => carryOut(context, operation, actions),
  abandon: abandonClone,
  // What was never restored can come to nothing without its source.
  async withoutCluster(context, operation) {
    const copy = await copyOf(context, operation);
    const facts = { operation, ...(copy ? { copy } : {}) };
    await carryOut(context, operation, abandonClone(facts));
    return withoutSource(facts);
  },
});

function copyOf({ client, signal }: HandlerContext, { metadata, spec }: OperationObject) {
  const ref = { namespace: metadata.namespace, name: spec.clone?.name ?? '' };
  return client.findListed(ClusterKind, ref, { signal });
}

async function claimOf(
  { client, signal }: HandlerContext,
  { metadata, spec }: OperationObject,
): Promise<string | undefined> {
  const ref = {
    namespace: metadata.namespace,
    name: dataClaimName(designatedInstance(spec.clone?.name ?? '')),
  };
  const claim = await client.findListed(kinds.PersistentVolumeClaim, ref, { signal });
  return claim && ref.name;
}

/** Has the source bring its last WAL to the archive, and asks what of the target can be reached. */
async function look(context: HandlerContext, base: BaseFacts): Promise<Pick<CloneFacts, 'seal' | 'check'>> {
  const primary = servingPrimary(base);
  const { recoveryTarget, repository } = base.operation.spec.clone ?? {};
  const source = ownSource(base.cluster, repository, recoveryTarget);
  const answering = primary ?? base.cluster.instances.find(({ report }) => report);
  const sealed = primary && (await seal(context, base, primary));
  if (!source || !answering) return {};
  const completeUntilMs = sealed && 'at' in sealed ? Date.parse(sealed.at) : undefined;
  const request = { source, ...(completeUntilMs === undefined ? {} : { completeUntilMs }) };
  const check = await askReachable(context, base, answering, request);
  return { check, ...(sealed ? { seal: sealed } : {}) };
}

async function carryOut(
  { client, signal }: HandlerContext,
  { metadata: { namespace } }: OperationObject,
  actions: CloneAction[],
): Promise<void> {
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
}
