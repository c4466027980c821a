/** To whom a leader may hand over, and why not. */
import { elapsed, type Now } from './clock.ts';
import { type Context, recordOf, settingsOf } from './context.ts';
import { parseLsn } from './lsn.ts';
import { answersSince, couldLead, goesFirst, priorityOf } from './positions.ts';
import { hasRoom } from './space.ts';
import type { HandoverPlan, State } from './state.ts';
import type { LeaseRecord, PeerReport } from './types.ts';

/** A target may be this far behind when the stop begins; the rest is sent while PostgreSQL stops. */
const CLOSE_BYTES = 16n << 20n;
/** How long a pod that is being stopped waits for peers that do not answer at all. */
const SILENCE_MS = 1_000;

/** Who was named and did not take the Lease in its time is named for so long only if nobody else can lead. */
const TARDY_MS = 60_000;

/** True of an instance that was named a short while ago and let the Lease lie. */
export function isTardy({ tardy }: State, name: string, now: Now): boolean {
  return tardy?.name === name && elapsed(tardy.at, now) < TARDY_MS;
}

/** It goes in any case, with a successor or without. */
export const goesAnyway = (plan: HandoverPlan) => plan.reason === 'shutdown' || plan.reason === 'fence';

/** Why an instance cannot take over however long it is waited for. */
export function neverATarget(c: Context, name: string, force = false): string | undefined {
  const { s } = c;
  const settings = settingsOf(s);
  const pod = s.pods.find((each) => each.instance === name);
  if (settings.fenced.includes(name)) return `${name} is fenced`;
  if (priorityOf(settings, name) === 0 && !force)
    return `${name} is never to lead by itself (0 in spec.failoverPriority); by force it can`;
  if (pod?.leaving) return `${name} is to be removed`;
  if (pod?.deleting) return `the pod of ${name} is being deleted`;
  const member = recordOf(s)!.members.some((each) => each.name === name);
  return member ? undefined : `${name} is not a member of the cluster, or not yet`;
}

/** The target that was named by force: it may be one that never leads by itself. */
export const forcedTarget = ({ to, force }: HandoverPlan) => (force ? to : undefined);

/** Members that stream from us, answer, could lead and are close; synchronous ones first, then by priority, then the least lag. */
export function closeTargets(c: Context, record: LeaseRecord, plan: HandoverPlan): string[] {
  const { s, now } = c;
  const current = parseLsn(s.view?.currentLsn) ?? 0n;
  const able = new Set(
    answersSince(s, plan.since.mono)
      .filter((report) => couldLead(s, record, report, forcedTarget(plan)))
      .filter((report) => plan.reason !== 'full' || hasRoom(report))
      .map((report) => report.name),
  );
  const priority = (name: string) => priorityOf(settingsOf(s), name);
  return (s.view?.replication ?? [])
    .filter((row) => able.has(row.name) && row.state === 'streaming')
    .map((row) => ({
      name: row.name,
      tardy: isTardy(s, row.name, now),
      sync: ['sync', 'quorum'].includes(row.syncState),
      lag: current - (parseLsn(row.flushLsn) ?? 0n),
    }))
    .filter((row) => row.lag <= CLOSE_BYTES)
    .sort(
      (a, b) =>
        Number(a.tardy) - Number(b.tardy) ||
        Number(b.sync) - Number(a.sync) ||
        priority(b.name) - priority(a.name) ||
        Number(a.lag - b.lag) ||
        (goesFirst(s, a.name, b.name) ? -1 : 1),
    )
    .map((row) => row.name);
}

/** Why the target, or every possible one, is not ready: for whoever asked. */
export function notReady(c: Context, plan: HandoverPlan): string {
  const { s } = c;
  const { to } = plan;
  if (!to) return 'no replica is ready to take over: none streams, answers and is close enough';
  const row = s.view?.replication.find((each) => each.name === to);
  const report = s.peers[to]?.report;
  const lag = (parseLsn(s.view?.currentLsn) ?? 0n) - (parseLsn(row?.flushLsn) ?? 0n);
  if (!report) return `${to} does not answer`;
  if (row?.state !== 'streaming') return `${to} does not stream (${report.state})`;
  if (lag > CLOSE_BYTES) return `${to} is ${lag} bytes behind`;
  return `${to} is not ready (${report.role}, ${report.state})`;
}

/** The whole cluster stops, not this pod alone: nobody streams from us, and who answers is stopping as well. */
export function nobodyIsLeft({ s, now }: Context, record: LeaseRecord, plan: HandoverPlan): boolean {
  if (!goesAnyway(plan) || s.view?.replication.some((row) => row.state === 'streaming')) return false;
  const answers = answersSince(s, plan.since.mono);
  return record.members
    .filter((member) => member.name !== s.self.name)
    .every(({ name }) => {
      const answer = answers.find((report) => report.name === name);
      return answer ? isStopping(answer) : elapsed(plan.since, now) >= SILENCE_MS;
    });
}

export function isStopping(report: PeerReport): boolean {
  return report.state === 'demoting' || report.state === 'stopped';
}
