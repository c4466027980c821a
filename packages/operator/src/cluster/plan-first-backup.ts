/** A repository without a backup is of no use: WAL alone restores nothing. So the first one is made unasked. Pure. */
import { API_VERSION, BACKUP_KIND } from '@pgherd/api';
import { BackupKind, type BackupObject } from '../backup/kind.ts';
import type { Action } from './actions.ts';
import { type Facts, isLeader, isTerminating } from './facts.ts';
import { numbersOf } from './plan-repository.ts';
import { childMetadata } from './specs/metadata.ts';
import { addedAt, holeOf, unreadable } from './status/archive.ts';

const MINUTE_MS = 60_000;
/** After a failure the next one is asked for a minute later, then after ever more minutes, up to so many. */
const LONGEST_MINUTES = 10;

/** A full backup into every repository that is ready and has none. `facts.asked`: those that were made already. */
export function planFirstBackup(facts: Facts): Action[] {
  const { cluster, spec, now } = facts;
  const leader = facts.instances.find((instance) => isLeader(facts, instance));
  const info = facts.backup?.info;
  if (!spec.backup || isTerminating(cluster) || leader?.report?.role !== 'primary' || !info) return [];
  if (cluster.status?.restoration || facts.backup?.isStale) return [];
  const numbers = numbersOf(facts);
  return spec.backup.repositories.flatMap(({ name }): Action[] => {
    const ready = leader.report?.archive?.repositories?.includes(name);
    // One from before the repository was added (again) has a hole behind it.
    const added = addedAt(cluster.status ?? {}, name);
    // And so has one from before a WAL file that is missing.
    const hole = holeOf(info, numbers.get(name));
    const least = Math.max(added, hole?.open ? hole.afterMs : 0);
    const has = info.backups.some(
      ({ repository, startedAt }) => repository === numbers.get(name) && startedAt >= least,
    );
    const prefix = `${cluster.metadata.name}-first-${name}-`;
    const isOpen = facts.backup?.open?.some((one) => one.startsWith(prefix));
    const wait = info.running || isOpen || now < dueAt(prefix, facts.asked);
    if (!ready || has || unreadable(info, numbers.get(name)) || wait) return [];
    const backup = `${prefix}${minuteOf(now)}`;
    const object = {
      apiVersion: API_VERSION,
      kind: BACKUP_KIND,
      metadata: childMetadata(facts, backup),
      spec: { cluster: { name: cluster.metadata.name }, type: 'full', repository: name },
    } as unknown as BackupObject;
    return [{ do: 'create', kind: BackupKind, object }];
  });
}

/** When the next one may be made (milliseconds): the names of those that were made end in their minute. */
function dueAt(prefix: string, asked: ReadonlySet<string> = new Set()): number {
  const made = [...asked].filter((name) => name.startsWith(prefix)).sort();
  const last = made.at(-1)?.slice(prefix.length);
  if (!last) return 0;
  const [, year, month, day, hour, minute] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(last) ?? [];
  const at = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:00Z`);
  return at + Math.min(2 ** (made.length - 1), LONGEST_MINUTES) * MINUTE_MS;
}

function minuteOf(ms: number): string {
  return new Date(ms).toISOString().replace(/\D/g, '').slice(0, 12);
}
