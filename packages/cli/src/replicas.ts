/** The replicas of a cluster, as a person chooses among them. */
import { CliError } from './errors.ts';
import { print, table } from './output.ts';
import type { ClusterView, InstanceView } from './status/view.ts';

const MEGABYTE = 1024 * 1024;

/** Everyone but the primary. */
export function replicasOf(view: ClusterView): InstanceView[] {
  return view.instances.filter((each) => each.name !== view.primary);
}

/** Prints every replica with its state, how far it is behind, and why it cannot be made the primary just now. */
export function printReplicas(view: ClusterView): void {
  const rows = replicasOf(view).map((each) => [
    each.name,
    each.ready ? 'UP' : 'DOWN',
    each.node ?? '-',
    each.lagBytes === undefined ? '-' : String(Math.ceil(each.lagBytes / MEGABYTE)),
    each.cannotLead ?? '',
  ]);
  print(`Cluster: ${view.name}`);
  for (const line of table(['REPLICA', 'STATUS', 'NODE', 'REPLICATION LAG (MB)', 'CANNOT LEAD'], rows))
    print(line);
}

/** CliError `notFound` that names the replicas there are. */
export function noSuchReplica(view: ClusterView, target: string): CliError {
  const names = replicasOf(view).map((each) => each.name);
  return new CliError('notFound', `Cluster ${view.name} has no replica ${target}.`, {
    hint: `It has: ${names.join(', ') || 'none'}.`,
  });
}
