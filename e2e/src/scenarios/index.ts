import type { Scenario } from '../scenario.ts';
import { apiAway } from './api-away.ts';
import { apiConformance } from './api-conformance.ts';
import { apiKilled } from './api-killed.ts';
import { backup } from './backup.ts';
import { badAtRunTime } from './bad-at-run-time.ts';
import { badInput } from './bad-input.ts';
import { certificates } from './certificates.ts';
import { chaos } from './chaos.ts';
import { clientLibraries } from './client-libraries.ts';
import { cloneLive } from './clone-live.ts';
import { dataEmptied } from './data-emptied.ts';
import { dayTwo } from './day-two.ts';
import { everythingKilled } from './everything-killed.ts';
import { evicted } from './evicted.ts';
import { frontDoor } from './front-door.ts';
import { kubectlVerbs } from './kubectl-verbs.ts';
import { leastPrivilege } from './least-privilege.ts';
import { managerFrozen } from './manager-frozen.ts';
import { movedUnderLoad } from './moved-under-load.ts';
import { nodeLostAsync, nodeLostSync } from './node-lost.ts';
import { nodeStopped } from './node-stopped.ts';
import { objectStore, objectStoreAzure } from './object-store.ts';
import { operatorDown } from './operator-down.ts';
import { podDeleted, replicaDeleted } from './pod-deleted.ts';
import { podKilled } from './pod-killed.ts';
import { postmasterKilled, postmasterKilledPipelining } from './postmaster-killed.ts';
import { quota } from './quota.ts';
import { recoveryStory } from './recovery-story.ts';
import { scaled } from './scaled.ts';
import { secretsKept } from './secrets-kept.ts';
import { settingsChanged } from './settings-changed.ts';
import { switchedOver } from './switchover.ts';

/**
 * All scenarios: those that may run alongside others, long ones first; then the others, in the order in which they run,
 * those in a row that share a cluster.
 */
export const scenarios: Scenario[] = [
  recoveryStory,
  objectStoreAzure,
  objectStore,
  backup,
  badAtRunTime,
  settingsChanged,
  frontDoor,
  apiConformance,
  cloneLive,
  badInput,
  secretsKept,
  quota,
  clientLibraries,

  kubectlVerbs,
  // A manager that was started just now, and a container that is killed a second time, would have to be waited for.
  postmasterKilled,
  postmasterKilledPipelining,
  switchedOver,
  dataEmptied,
  nodeStopped,
  podKilled,
  // All pods are new after it.
  dayTwo,
  operatorDown,
  managerFrozen,
  podDeleted,
  replicaDeleted,
  movedUnderLoad,
  evicted,

  nodeLostSync,
  nodeLostAsync,
  scaled,
  certificates,
  // After all others that leave its local mode whole.
  leastPrivilege,
  apiKilled,
  apiAway,
  chaos,
  everythingKilled,
];
