/** Has the primary bring all its WAL so far to the archive. */
import type { InstanceFacts } from '../cluster/facts.ts';
import type { BaseFacts, HandlerContext } from './handler.ts';

/** When that was done (RFC 3339), or what stands in the way. */
export type Sealed = { at: string } | { problem: string };

const SEAL_MS = 70_000;

/** The instance that leads and serves, if one does. */
export function servingPrimary({ cluster }: BaseFacts): InstanceFacts | undefined {
  return cluster.instances.find(({ report }) => report?.role === 'primary' && report.leader);
}

/** Whatever was committed before this call can be recovered once it says so. */
export async function seal(
  { ask }: HandlerContext,
  base: BaseFacts,
  primary: InstanceFacts,
): Promise<Sealed> {
  try {
    const question = { path: '/backrest/seal', body: {}, timeoutMs: SEAL_MS };
    const answer = await ask(base.cluster, primary, question);
    return answer.status === 200 ? (answer.body as { at: string }) : { problem: saidOf(answer.body) };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}

/** The words of an answer that is a refusal. */
export function saidOf(body: unknown): string {
  const { error } = (body ?? {}) as { error?: string };
  return error ?? String(body);
}
