/** Control groups of a local mode: where they are made is settled once, when it starts. */
import { rmSync } from 'node:fs';
import { basename } from 'node:path';
import { findRoots, removeRoots } from '../cgroup/groups.ts';
import { stageFolder } from '../shim/client.ts';
import { readCgroups, type StateLayout, writeJson } from '../state.ts';

/** Finds out whether limits can be enforced here, tells the agents, and answers in words for people. */
export function offerGroups(layout: StateLayout): { enforced: boolean; text: string } {
  // Each state folder has a name of its own, in the control groups as well.
  const found = findRoots(basename(stageFolder(layout.dir)));
  if ('why' in found) {
    rmSync(layout.cgroups, { force: true });
    return { enforced: false, text: `not enforced: no control groups can be made here (${found.why})` };
  }
  writeJson(layout.cgroups, found);
  return { enforced: true, text: `memory and CPU, by control groups (version ${found.version})` };
}

/** Removes the groups once nothing runs any more. */
export function takeGroupsBack(layout: StateLayout): void {
  const roots = readCgroups(layout);
  if (roots) removeRoots(roots);
}
