/** Asks instances how they are, over mutual TLS. */
import type { Agent } from 'node:https';
import { type InstanceReport, MANAGER_PORT, reportSummary } from '@pgherd/api';
import { type Log, PeerClock } from '@pgherd/kube';
import { OperatorError } from '../errors.ts';
import { type ConnectionTo, createConnections, describeSilence } from './connections.ts';
import { askInstance } from './instance-request.ts';

export interface Question extends ConnectionTo {
  instances: { name: string; podUID: string; address: string }[];
}

export interface Answer {
  report?: InstanceReport;
  /** Why there is none. */
  silent?: string;
}

export interface Reports {
  /**
   * The state of each instance by name, all asked at once. Waits at most `waitMs`; who has not answered by then
   * is known by an answer that is at most STALE_MS old, or as silent. A later answer that says something else
   * calls `onNews`.
   */
  ask(question: Question): Promise<Map<string, Answer>>;
  /** Ends connections to a cluster that is gone. */
  forget(cluster: string): void;
}

export interface ReportsOptions {
  log: Log;
  onNews: (cluster: string) => void;
  now?: () => number;
  waitMs?: number;
  timeoutMs?: number;
  port?: number;
}

const STALE_MS = 5_000;
/** Longer than an instance holds a question open. */
const WATCH_MS = 40_000;
const WATCH_PAUSE_MS = 200;
const WATCH_AGAIN_MS = 2_000;
interface Known {
  podUID: string;
  address: string;
  report?: InstanceReport;
  /** When that came (performance.now()). */
  at: number;
  /** Its node's. */
  clock: PeerClock;
  error?: string;
  asking?: Promise<void>;
  /** A question is open that is answered when something changes. */
  watching?: boolean;
}

export function createReports(options: ReportsOptions): Reports {
  const { log, onNews, now = Date.now, waitMs = 500, timeoutMs = 2_000, port = MANAGER_PORT } = options;
  const connections = createConnections(now);
  const known = new Map<string, Map<string, Known>>();

  function memory(question: Question): Map<string, Known> {
    const before = known.get(question.cluster) ?? new Map<string, Known>();
    const after = new Map<string, Known>();
    for (const { name, podUID, address } of question.instances) {
      const old = before.get(name);
      const same = old && old.podUID === podUID && old.address === address;
      after.set(
        name,
        same ? old : { podUID, address, at: Number.NEGATIVE_INFINITY, clock: new PeerClock(now) },
      );
    }
    known.set(question.cluster, after);
    return after;
  }

  async function askOne(agent: Agent, cluster: string, name: string, entry: Known, late: () => boolean) {
    const before = summary(entry);
    try {
      const question = { address: entry.address, port, path: '/status', timeoutMs };
      const began = performance.now();
      const { text, date } = await askInstance(agent, question);
      const report = parsed(text);
      if (report.podUID !== entry.podUID)
        throw new OperatorError('report', 'another pod answers at its address');
      entry.clock.hear(date, performance.now() - began);
      entry.report = report;
      entry.at = performance.now();
      delete entry.error;
    } catch (error) {
      entry.error = describeSilence(error);
      log.debug({ cluster, instance: name, error: entry.error }, 'an instance did not answer');
    }
    delete entry.asking;
    if (late() && summary(entry) !== before) onNews(cluster);
    if (entry.report && !entry.error && !entry.watching) watch(agent, cluster, name, entry, entry.report);
  }

  /** Has the cluster looked at as soon as the instance says something else, or falls silent. */
  async function watch(agent: Agent, cluster: string, name: string, entry: Known, report: InstanceReport) {
    entry.watching = true;
    const path = `/changes?seen=${encodeURIComponent(reportSummary(report))}`;
    const news = () => known.get(cluster)?.get(name) === entry && onNews(cluster);
    const began = performance.now();
    try {
      await askInstance(agent, { address: entry.address, port, path, timeoutMs: WATCH_MS });
      // What it said may have been out of date at once: the look that follows must not turn into a loop.
      await pause(began + WATCH_PAUSE_MS - performance.now());
      entry.watching = false;
      news();
    } catch (error) {
      log.debug(
        { cluster, instance: name, error: describeSilence(error) },
        'an instance is no longer watched',
      );
      // One that does not know the question is looked at now and then, as ever.
      if (error instanceof OperatorError) return;
      news();
      await pause(WATCH_AGAIN_MS);
      entry.watching = false;
    }
  }

  return {
    async ask(question) {
      const entries = memory(question);
      if (entries.size === 0) return new Map();
      const agent = await connections.agent(question);
      let late = false;
      for (const [name, entry] of entries)
        entry.asking ??= askOne(agent, question.cluster, name, entry, () => late);
      await within(waitMs, Promise.all([...entries.values()].map(({ asking }) => asking)));
      late = true;
      return new Map([...entries].map(([name, entry]) => [name, answer(entry)]));
    },
    forget(cluster) {
      connections.forget(cluster);
      known.delete(cluster);
    },
  };
}

function answer(entry: Known): Answer {
  const recent = performance.now() - entry.at <= STALE_MS;
  if (entry.report && recent) return { report: byOurClock(entry.report, entry.clock) };
  return { silent: entry.error ?? 'no answer yet' };
}

/** Its deadline is compared with our time. */
function byOurClock(report: InstanceReport, { aheadMs }: PeerClock): InstanceReport {
  const { waiting } = report;
  if (!waiting || aheadMs === 0) return report;
  const { since, deadline } = waiting;
  const ours = (time: string) => new Date(Date.parse(time) - aheadMs).toISOString();
  return {
    ...report,
    waiting: { ...waiting, since: ours(since), ...(deadline ? { deadline: ours(deadline) } : {}) },
  };
}

/** What of an answer is news when it changes. */
function summary({ report, error }: Known): string {
  return error || !report ? (error ?? '') : reportSummary(report);
}

/** @throws {OperatorError} `report` when the answer is none */
function parsed(text: string): InstanceReport {
  try {
    return JSON.parse(text) as InstanceReport;
  } catch (cause) {
    throw new OperatorError('report', 'its answer cannot be read', { cause });
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(ms, 0)));
}

async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([promise, over]);
  clearTimeout(timer);
}
