/** A repository without a backup is of no use: WAL alone restores nothing. So the first one is made unasked. Pure. */
import { API_VERSION, BACKUP_KIND } from '@pgherd/api';
import { BackupKind, type BackupObject } from '../backup/kind.ts';
import type { Action } from './actions.ts';
import { type Facts, isLeader, isTerminating } from './facts.ts';
import { numbersOf } from './plan-repository.ts';
import { childMetadata } from './specs/metadata.ts';

/** After a failure the next one is asked for in the next stretch of this length. */
const AGAIN_MS = 10 * 60_000;

/** A full backup into every repository that is ready and has none. `facts.asked`: those that were made already. */
export function planFirstBackup(facts: Facts): Action[] {
  const { cluster, spec, now } = facts;
  const leader = facts.instances.find((instance) => isLeader(facts, instance));
  const info = facts.backup?.info;
  if (!spec.backup || isTerminating(cluster) || leader?.report?.role !== 'primary' || !info) return [];
  if (cluster.status?.restoration) return [];
  const numbers = numbersOf(facts);
  const stretch = new Date(Math.floor(now / AGAIN_MS) * AGAIN_MS)
    .toISOString()
    .replace(/\D/g, '')
    .slice(0, 12);
  return spec.backup.repositories.flatMap(({ name }): Action[] => {
    const ready = leader.report?.archive?.repositories?.includes(name);
    const has = info.backups.some(({ repository }) => repository === numbers.get(name));
    const backup = `${cluster.metadata.name}-first-${name}-${stretch}`;
    if (!ready || has || facts.asked?.has(backup)) return [];
    const object = {
      apiVersion: API_VERSION,
      kind: BACKUP_KIND,
      metadata: childMetadata(facts, backup),
      spec: { cluster: { name: cluster.metadata.name }, type: 'full', repository: name },
    } as unknown as BackupObject;
    return [{ do: 'create', kind: BackupKind, object }];
  });
}
