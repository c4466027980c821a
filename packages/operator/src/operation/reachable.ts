/** Asks a pod of the cluster what of a target can be reached in a repository, before anything is begun. */
import {
  type ChooseRequest,
  parseTargetTime,
  type RecoveryChoice,
  type RecoveryTargetSpec,
} from '@pgherd/api';
import type { InstanceFacts } from '../cluster/facts.ts';
import type { BaseFacts, HandlerContext } from './handler.ts';
import { saidOf } from './seal.ts';

/** What the repository says of a target, or why it could not be asked. */
export type Reachable = RecoveryChoice | { unreachable: string };

const CHECK_MS = 60_000;

/** Resolves with a reason, never rejects. */
export async function askReachable(
  { ask }: HandlerContext,
  { cluster }: BaseFacts,
  instance: InstanceFacts,
  request: ChooseRequest,
): Promise<Reachable> {
  try {
    const path = '/backrest/choose';
    const answer = await ask(cluster, instance, { path, body: request, timeoutMs: CHECK_MS });
    if (answer.status === 200) return answer.body as RecoveryChoice;
    return { unreachable: `${instance.name}: ${saidOf(answer.body)}` };
  } catch (error) {
    return { unreachable: `${instance.name}: ${(error as Error).message}` };
  }
}

/** The target is a time before the last file that came to the archive: it needs nothing that is not there yet. */
export function isArchived(target: RecoveryTargetSpec | undefined, check: Reachable | undefined): boolean {
  if (target?.targetTime === undefined || !check || 'unreachable' in check) return false;
  return parseTargetTime(target.targetTime).ms <= (check.window.lastMs ?? 0);
}
