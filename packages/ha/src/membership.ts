/** Who the leader records as a member, and which commit rules: record first, then apply, then drop (ELECTION 5.5, 5.6). */
import { ruleText, wantedRule, withRule } from './commit-rule.ts';
import { type Context, recordOf, settingsOf } from './context.ts';
import { isRecorded, ownMembership } from './positions.ts';
import { joiningName } from './rules.ts';
import type { CommitRule, LeaseMember, LeaseRecord } from './types.ts';

/** The rule this leader is to bring into force, for the members that are to stay. */
export function ruleToApply(c: Context, members: readonly LeaseMember[]): CommitRule {
  const { s, rules } = c;
  const settings = settingsOf(s);
  const staying = members.filter((member) => !rules.mayDropMember(s, settings, member.name));
  const replication = runsAsPrimary(c) ? (s.view?.replication ?? []) : [];
  return wantedRule(settings, s.self.name, staying, replication, recordOf(s)?.rules);
}

export function runsAsPrimary({ s }: Context): boolean {
  return s.view?.process === 'running' && s.view.sqlReachable && s.view.inRecovery === false;
}

/** Standbys that connect under their joining name: whether their volume has all that a lost one may have acknowledged. */
export function watchJoining(c: Context): void {
  const { s } = c;
  const rows = s.view?.replication ?? [];
  for (const name of Object.keys(s.joining)) {
    const gone = !rows.some((row) => row.name === joiningName(name));
    if (gone || rows.some((row) => row.name === name)) delete s.joining[name];
  }
  const record = recordOf(s);
  const currentLsn = s.view?.currentLsn;
  if (!record || !currentLsn) return;
  for (const { report } of Object.values(s.peers)) {
    if (!report?.incarnation || report.systemID !== s.view?.systemID) continue;
    if (isRecorded(record, report.name, report.incarnation)) continue;
    const connected = rows.some((row) => row.name === joiningName(report.name) && row.state === 'streaming');
    if (!connected || rows.some((row) => row.name === report.name)) continue;
    if (s.joining[report.name]?.incarnation !== report.incarnation)
      s.joining[report.name] = { incarnation: report.incarnation, mark: currentLsn };
  }
}

/** True while a standby connects under a joining name whose volume we have no word about, or that is not proven yet. */
export function someoneJoins({ s }: Context): boolean {
  return (s.view?.replication ?? []).some((row) => row.name.endsWith(joiningName('')));
}

/** Members and rules as they are to be recorded next. Equal to what is recorded when nothing is to be changed. */
export function nextMembership(c: Context, record: LeaseRecord): Pick<LeaseRecord, 'members' | 'rules'> {
  const { s, rules } = c;
  const settings = settingsOf(s);
  let members = withSelf(c, record.members);
  if (runsAsPrimary(c)) {
    for (const { report } of Object.values(s.peers)) {
      if (!report?.incarnation || !rules.mayBecomeMember(s, report.name, report)) continue;
      members = withMember(members, { name: report.name, incarnation: report.incarnation });
    }
  }
  const rule = ruleToApply(c, members);
  if (rules.mayApply(rule, record) && rules.mayDropOthers(rule, ruleText(rule), s)) {
    const staying = members.filter((member) => !rules.mayDropMember(s, settings, member.name));
    return { members: staying, rules: [rule] };
  }
  return { members, rules: withRule(record.rules, rule) };
}

export function withSelf({ s }: Context, members: readonly LeaseMember[]): LeaseMember[] {
  const self = ownMembership(s);
  return self ? withMember(members, self) : [...members];
}

function withMember(members: readonly LeaseMember[], member: LeaseMember): LeaseMember[] {
  if (members.some((each) => each.name === member.name && each.incarnation === member.incarnation))
    return [...members];
  return [...members.filter((each) => each.name !== member.name), member];
}
