/** Silence need not wait for the Lease: promises (ELECTION 5). */
import { elapsed, elapsedForTaker, type Now } from '../clock.ts';
import { quorumOf } from '../commit-rule.ts';
import { comparePositions, type Position, parseLsn } from '../lsn.ts';
import { isPromotedByHand, isRecorded } from '../positions.ts';
import type { KnownLease, State } from '../state.ts';
import {
  type LeaseRecord,
  type LeaseState,
  no,
  type PromiseAnswer,
  type Settings,
  type Verdict,
  yes,
} from '../types.ts';
import { PROOF_MS, QUIET_MS } from './times.ts';

type Given = Extract<PromiseAnswer, { promised: unknown }>;

export const PROMISE_RULES = {
  /**
   * 5.3. Promises decide only where every rule that may be in force makes commits wait: then a leader whose quorum is
   * cut can acknowledge nothing, alive or not.
   */
  promisesDecide(record: LeaseRecord): boolean {
    return (
      record.holder !== null &&
      record.rules.length > 0 &&
      record.rules.every((rule) => rule.required && rule.number > 0)
    );
  },

  /**
   * 5.1. Who promises has seen no renewal for longer than a leader that lives would let pass without asking for
   * grants, has given no grant, and has not heard of the leader.
   */
  mayPromise(lease: KnownLease, s: State, settings: Settings, now: Now): Verdict {
    const { record, version } = lease;
    if (!this.promisesDecide(record)) return no('the commit rule in force does not make every commit wait');
    if (record.epoch < s.epochSeen) return no('the Lease was made anew');
    if (s.held || record.leader?.name === s.self.name) return no('this instance leads');
    if (settings.maintenance) return no('the cluster is under maintenance');
    if (!isRecorded(record, s.self.name, s.view?.incarnation))
      return no('this volume is not recorded as a member');
    if (isPromotedByHand(s)) return no('PostgreSQL here was promoted by hand');
    if (s.view?.process !== 'running' || s.view.inRecovery !== true)
      return no('no standby runs here that could tell how far it is');
    if (s.promise?.version === version) return yes;
    if (!this.isQuiet(s.sight, version, settings, now))
      return no('the Lease was renewed not long ago, or cannot be read');
    if (!this.knowsGrants(s, settings, now))
      return no('this manager was started not long ago and does not know what it granted');
    if (s.grant && elapsedForTaker(s.grant.at, now) < this.promiseWait(settings))
      return no('this instance lets the leader go on');
    const heard = record.leader && s.peers[record.leader.name];
    if (
      heard?.report?.leader &&
      heard.report.identity === record.holder &&
      elapsed(heard.askedAt, now) < PROOF_MS
    )
      return no(`${record.leader!.name} was heard of`);
    return yes;
  },

  /** 4. Every grant that may still bind is known: a manager of before noted those it gave, or they have ended since. */
  knowsGrants({ grantsSince }: State, settings: Settings, now: Now): boolean {
    return grantsSince !== undefined && elapsedForTaker(grantsSince, now) >= this.promiseWait(settings);
  },

  /** 4. The time that a grant binds: neither a promise in it, nor one while a restarted manager may have given one. */
  promiseWait(settings: Settings): number {
    return settings.takeMs;
  },

  /** 5. The same version of the Lease for longer than a leader that lives lets pass, by our own reads and clock. */
  isQuiet(sight: State['sight'], version: string, settings: Settings, now: Now): boolean {
    return sight?.version === version && elapsedForTaker(sight.since, now) >= settings.renewMs + QUIET_MS;
  },

  /** 5. A leader is deposed only when as many as must promise have heard nothing of it: one cut link is not enough. */
  enoughAreQuiet(lease: KnownLease, s: State, settings: Settings, now: Now): Verdict {
    const quiet = new Set(quietPeers(lease, s));
    if (this.mayPromise(lease, s, settings, now).ok) quiet.add(s.self.name);
    for (const rule of lease.record.rules)
      if (rule.names.filter((name) => quiet.has(name)).length < quorumOf(rule))
        return no(`only ${[...quiet].join(', ')} would promise`);
    return yes;
  },

  /** 5.3. n-k+1 promises from the names of every rule recorded, our own included: only then is the leader's quorum cut. */
  promisesSuffice(record: LeaseRecord, s: State, state: LeaseState): Verdict {
    const given = givenOn(record, s, state);
    const names = new Set(given.map((each) => each.name));
    if (s.promise?.version === state.version) names.add(s.self.name);
    for (const rule of record.rules) {
      const there = rule.names.filter((name) => names.has(name)).length;
      const needed = quorumOf(rule);
      if (there < needed) {
        const missing = rule.names.filter((name) => !names.has(name));
        return no(`${needed} of ${rule.names.join(', ')} must promise; none from ${missing.join(', ')}`);
      }
    }
    return yes;
  },

  /** 5.3. Whoever promised may have acknowledged all it has: a candidate is not behind any of them. */
  behindNoPromise(record: LeaseRecord, s: State, state: LeaseState, mine: Position): Verdict {
    const ahead = givenOn(record, s, state).find(
      ({ timeline, lsn }) => comparePositions({ timeline, lsn: parseLsn(lsn) ?? 0n }, mine) > 0,
    );
    return ahead ? no(`${ahead.name} is ahead`) : yes;
  },
};

/** Promises on this very state of the Lease, from the volumes that it records. */
export function givenOn(record: LeaseRecord, s: State, state: LeaseState): Given[] {
  if (s.promises?.state.version !== state.version) return [];
  return Object.values(s.promises.given).filter((each) => isRecorded(record, each.name, each.incarnation));
}

/** Which of the recorded volumes' answers say that they promised, or would, on this state of the Lease. */
function quietPeers(lease: KnownLease, s: State): string[] {
  return Object.values(s.peers).flatMap(({ report }) => {
    if (!report || !isRecorded(lease.record, report.name, report.incarnation)) return [];
    const on = report.promised?.version ?? report.wouldPromise?.version;
    return on === lease.version ? [report.name] : [];
  });
}
