/** Whether an operator works: without one, what the status of a cluster says is from before. */
import { OPERATOR_LEASE, OPERATOR_NAMESPACE } from '@pgherd/api';
import { type Client, kinds, type Lease } from '@pgherd/kube';

/** A Lease that nobody has renewed for so many of its durations has lost its holder. */
const DURATIONS = 2;

/** How long reading the Lease may take; it is only a remark to what else is shown. */
const LOOK_MS = 3_000;

/**
 * When the operator was last heard of (RFC 3339), if that is longer ago than one that works would let pass. Undefined
 * where one works, and where that cannot be known: its Lease is elsewhere, or may not be read.
 */
export async function operatorAwaySince(client: Client): Promise<string | undefined> {
  const ref = { namespace: OPERATOR_NAMESPACE, name: OPERATOR_LEASE };
  const lease = await client.find(kinds.Lease, ref, { timeoutMs: LOOK_MS }).catch(() => undefined);
  return lease && awaySince(lease, client.clock.now());
}

/** The same of a Lease. Pure; `now`: milliseconds since 1970, by the clock of the API server. */
export function awaySince({ spec }: Lease, now: number): string | undefined {
  const { holderIdentity, renewTime, leaseDurationSeconds = 10 } = spec;
  if (!renewTime) return undefined;
  const silentMs = now - Date.parse(renewTime);
  const away = !holderIdentity || silentMs > DURATIONS * leaseDurationSeconds * 1000;
  return away ? `${renewTime.slice(0, 19)}Z` : undefined;
}
