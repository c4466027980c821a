import { pause } from './backoff.ts';
import type { Client } from './client.ts';
import { isKubeError, KubeError } from './errors.ts';
import { kinds } from './kinds.ts';
import type { Lease } from './objects.ts';
import { microTime } from './times.ts';
import { type Log, silent } from './types.ts';

export interface ElectionOptions {
  client: Client;
  namespace: string;
  /** Name of the Lease. */
  name: string;
  /** Unique to this process, not only to its pod. */
  identity: string;
  /** Others may take over after this long without a renewal (default 15 000). */
  leaseMs?: number;
  /** The leader gives up after this long without a renewal that succeeded (default two thirds of leaseMs). */
  renewDeadlineMs?: number;
  /** Between attempts (default 2 000). */
  retryMs?: number;
  /** How long `run` may take to end once its signal is aborted (default 5 000); then LeadershipLost. */
  graceMs?: number;
  log?: Log;
}

/**
 * Runs `run` while we hold the Lease; its signal is aborted when we lose it or `signal` ends. Contends again
 * after a loss. Resolves after `signal`, with the Lease released; rejects with what `run` throws.
 */
export async function runElection(
  options: ElectionOptions,
  run: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const election = new Election(options);
  while (!signal.aborted) {
    if (!(await election.acquire(signal))) return;
    await lead(election, options, run, signal);
  }
}

async function lead(
  election: Election,
  options: ElectionOptions,
  run: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const log = options.log ?? silent;
  const term = new AbortController();
  const fields = { lease: `${options.namespace}/${options.name}`, identity: options.identity };
  log.info(fields, 'leading');
  const running = run(AbortSignal.any([signal, term.signal])).finally(() => term.abort());
  running.catch(() => {});
  await election.hold(AbortSignal.any([signal, term.signal]));
  const lost = !signal.aborted && !term.signal.aborted;
  term.abort();
  if (lost) log.warn(fields, 'no longer leading');
  const grace = new AbortController();
  const graceMs = options.graceMs ?? 5_000;
  const late = pause(graceMs, grace.signal).then(() => {
    if (grace.signal.aborted) return;
    throw new KubeError('LeadershipLost', `stopping the work of the leader: not done within ${graceMs} ms`, {
      hint: 'the process must end: another one leads now',
    });
  });
  try {
    await Promise.race([running, late]);
  } finally {
    grace.abort();
    // Only after the work has stopped: a released Lease lets another start at once.
    if (!lost) await election.release();
  }
}

/** The record of the Lease as seen by us, and when we saw it change, by our own clock. */
class Election {
  private readonly o: Required<Omit<ElectionOptions, 'log'>>;
  private readonly log: Log;
  private seen: Lease | undefined;
  private seenAt = 0;
  private renewedAt = 0;
  /** The cause of failures that has been told. */
  private told = '';

  constructor(options: ElectionOptions) {
    const { log, ...rest } = options;
    const leaseMs = rest.leaseMs ?? 15_000;
    this.o = { renewDeadlineMs: (leaseMs * 2) / 3, retryMs: 2_000, graceMs: 5_000, ...rest, leaseMs };
    this.log = log ?? silent;
  }

  /** Resolves true when we hold the Lease, false when `signal` ended the wait. */
  async acquire(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      if (await this.attempt(signal)) return true;
      await pause(this.nextLook(), signal);
    }
    return false;
  }

  /** Renews until `signal`, or until the Lease is lost. */
  async hold(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await pause(this.o.retryMs, signal);
      if (signal.aborted) return;
      const deadline = this.renewedAt + this.o.renewDeadlineMs;
      if (await this.attempt(signal, deadline)) continue;
      if (signal.aborted || performance.now() >= deadline || this.takenByOther()) return;
    }
  }

  /** Gives the Lease up, so that another need not wait. Never throws. */
  async release(): Promise<void> {
    if (this.seen?.spec.holderIdentity !== this.o.identity) return;
    try {
      const spec = {
        ...this.seen.spec,
        holderIdentity: '',
        renewTime: microTime(new Date()),
        leaseDurationSeconds: 1,
      };
      await this.o.client.update(kinds.Lease, { ...this.seen, spec }, { timeoutMs: 2_000 });
    } catch (error) {
      this.log.debug({ error: String(error) }, 'the Lease could not be released');
    }
  }

  private takenByOther(): boolean {
    const holder = this.seen?.spec.holderIdentity;
    return holder !== undefined && holder !== '' && holder !== this.o.identity;
  }

  /** Until the Lease may be free, if nobody renews it: but look again at the usual pace. */
  private nextLook(): number {
    const expiry = this.seenAt + this.o.leaseMs - performance.now();
    return Math.max(
      10,
      Math.min(this.o.retryMs, this.takenByOther() && expiry > 0 ? expiry : this.o.retryMs),
    );
  }

  private async attempt(signal: AbortSignal, deadline = Number.POSITIVE_INFINITY): Promise<boolean> {
    const now = performance.now();
    const timeoutMs = Math.max(1, Math.min(this.o.renewDeadlineMs, deadline - now));
    try {
      const renewed = await this.write({ signal, timeoutMs });
      this.told = '';
      if (renewed) this.renewedAt = now;
      return renewed;
    } catch (error) {
      if (isKubeError(error, 'Conflict', 'AlreadyExists', 'NotFound')) this.forget();
      if (!signal.aborted) this.tell(error);
      return false;
    }
  }

  /** Each cause is told once until it is over: who cannot reach the API, or may not write, should not be silent. */
  private tell(error: unknown): void {
    const cause = isKubeError(error) ? error.code : String(error);
    const lostRace = isKubeError(error, 'Conflict', 'AlreadyExists');
    const level = lostRace || cause === this.told ? 'debug' : 'warn';
    if (!lostRace) this.told = cause;
    this.log[level]({ error: String(error) }, 'the Lease could not be written');
  }

  /** The next write must start from a fresh reading; what it brings counts as seen at that time. */
  private forget(): void {
    this.renewVersion = undefined;
  }

  private renewVersion: string | undefined;

  private async write(call: { signal: AbortSignal; timeoutMs: number }): Promise<boolean> {
    const { client, namespace, name, identity, leaseMs } = this.o;
    const holding = this.seen?.spec.holderIdentity === identity && this.renewVersion !== undefined;
    if (!holding) {
      const found = await client.find(kinds.Lease, { namespace, name }, call);
      this.look(found);
      if (found && this.takenByOther() && performance.now() < this.seenAt + leaseMs) return false;
    }
    const at = microTime(new Date());
    const spec = {
      ...this.seen?.spec,
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(leaseMs / 1000),
      renewTime: at,
    };
    if (this.seen?.spec.holderIdentity !== identity) {
      spec.acquireTime = at;
      spec.leaseTransitions = (this.seen?.spec.leaseTransitions ?? -1) + 1;
    }
    const base = this.seen ?? {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { namespace, name },
    };
    const written = this.seen
      ? await client.update(kinds.Lease, { ...base, spec }, call)
      : await client.create(kinds.Lease, { ...base, spec }, call);
    this.look(written);
    this.renewVersion = written.metadata.resourceVersion;
    return true;
  }

  private look(lease: Lease | undefined): void {
    if (lease?.metadata.resourceVersion !== this.seen?.metadata.resourceVersion)
      this.seenAt = performance.now();
    this.seen = lease;
  }
}
