import type { ContainerGroup } from '../cgroup/groups.ts';

const SCRIPT =
  'n=$1; shift; while [ "$n" -gt 0 ]; do echo $$ >"$1" || exit 126; shift; n=$((n-1)); done; exec "$@"';

/** A command line that first enters a control group. */
export function inGroup(group: ContainerGroup | undefined, command: string[]): string[] {
  if (!group) return command;
  return ['sh', '-c', SCRIPT, 'sh', String(group.procs.length), ...group.procs, ...command];
}
