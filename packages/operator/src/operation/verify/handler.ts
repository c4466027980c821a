/** A backup is restored into a pod of its own, looked at, and thrown away. */
import type { VerifyAnswer } from '@pgherd/api';
import { isKubeError, kinds } from '@pgherd/kube';
import type { Action } from '../../cluster/actions.ts';
import { type BaseFacts, defineHandler, type HandlerContext } from '../handler.ts';
import type { OperationObject } from '../kind.ts';
import { away, planVerify, STEPS, type VerifyFacts } from './plan.ts';
import { verifyName } from './pod.ts';

const ASK_MS = 5_000;

export const verify = defineHandler<VerifyFacts, Action>({
  steps: STEPS,
  defaultDeadlineSeconds: 12 * 3600,
  exclusive: false,
  async observe(context, base): Promise<VerifyFacts> {
    const facts = { ...base, ...(await partsOf(context, base.operation)) };
    const { pod } = facts;
    const answer =
      pod?.status?.phase === 'Running' ? await answerOf(context, base, pod.metadata.name, pod) : undefined;
    return answer ? { ...facts, answer } : facts;
  },
  plan: planVerify,
  act: (context, { operation }, actions) => carryOut(context, operation, actions),
  abandon: away,
  async withoutCluster(context, operation) {
    await carryOut(context, operation, away({ operation, ...(await partsOf(context, operation)) }));
    return 'what was restored to be looked at is taken away';
  },
});

async function partsOf(
  { client, signal }: HandlerContext,
  operation: OperationObject,
): Promise<Pick<VerifyFacts, 'pod' | 'claim'>> {
  const ref = { namespace: operation.metadata.namespace, name: verifyName(operation) };
  const [pod, claim] = await Promise.all([
    client.findListed(kinds.Pod, ref, { signal }),
    client.findListed(kinds.PersistentVolumeClaim, ref, { signal }),
  ]);
  return { ...(pod ? { pod } : {}), ...(claim ? { claim } : {}) };
}

async function carryOut(
  { client, signal, log }: HandlerContext,
  { metadata: { namespace } }: OperationObject,
  actions: Action[],
): Promise<void> {
  for (const action of actions) {
    try {
      if (action.do === 'ensure') await client.create(action.kind, action.object, { signal });
      if (action.do === 'delete')
        await client.delete(
          action.kind,
          { namespace, name: action.name },
          { preconditions: { uid: action.uid }, signal },
        );
    } catch (error) {
      // Made or deleted at an earlier look.
      if (!isKubeError(error, 'AlreadyExists', 'NotFound', 'Conflict')) throw error;
      log.debug({ error: String(error) }, 'verifying a backup');
    }
  }
}

async function answerOf(
  { ask }: HandlerContext,
  { cluster }: BaseFacts,
  name: string,
  pod: NonNullable<VerifyFacts['pod']>,
): Promise<VerifyAnswer | undefined> {
  try {
    const answer = await ask(
      cluster,
      { name, serial: 0, pod },
      { path: '/backrest/verify', timeoutMs: ASK_MS },
    );
    return answer.status === 200 ? (answer.body as VerifyAnswer) : undefined;
  } catch {
    // It is starting.
    return undefined;
  }
}
