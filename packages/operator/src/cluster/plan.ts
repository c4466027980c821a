/** What to do about a cluster, given the facts. Pure. */

import { isInMaintenance } from '@pgherd/api';
import type { Kind, KubeObject } from '@pgherd/kube';
import { kinds } from '@pgherd/kube';
import { differs } from '@pgherd/kube/merge';
import type { Action, Plan } from './actions.ts';
import { type Facts, isHeld, isTerminating, leaderName, systemID } from './facts.ts';
import { planCertificates } from './plan-certificates.ts';
import { planHold } from './plan-farewell.ts';
import { planFirstBackup } from './plan-first-backup.ts';
import { planInstances } from './plan-instances.ts';
import { planMarks } from './plan-marks.ts';
import { planRepository } from './plan-repository.ts';
import { planRestoration, type RestorationPlan } from './plan-restoration.ts';
import { planLogins } from './plan-secrets.ts';
import { disruptionBudget } from './specs/disruption-budget.ts';
import { designatedInstance, newLease } from './specs/lease.ts';
import { isOwned, type SpecContext } from './specs/metadata.ts';
import { instanceRole, instanceRoleBinding, serviceAccount } from './specs/rbac.ts';
import { newWriteService, readServices, writeService } from './specs/services.ts';

const EXACT = ['data', 'rules', 'subjects', 'spec.selector'];

/**
 * The whole plan. A cluster that is going is left to the garbage collector; a spec that is refused changes
 * nothing, but what exists is kept whole.
 */
export function plan(facts: Facts): Plan {
  if (isTerminating(facts.cluster)) return { actions: [], intent: { what: 'deleting' } };
  if (isInMaintenance(facts.cluster)) return { actions: [], intent: { what: 'maintenance' } };
  const refused = facts.problems.length > 0;
  if (refused && facts.instances.length === 0 && !systemID(facts))
    return { actions: [], intent: { what: 'refused' } };
  const restoration = planRestoration(facts);
  const instances = restoration?.hold ? HELD : planInstances(wanted(facts, restoration));
  return {
    intent: refused ? { what: 'refused' } : instances.intent,
    ...(restoration ? { restoration } : {}),
    actions: [
      ...planRights(facts),
      ...planLease(facts),
      ...planCertificates(facts),
      ...planLogins(facts),
      ...planServices(facts),
      ...planRepository(facts),
      ...planFirstBackup(facts),
      ...planHold(facts),
      ...planBudget(facts),
      ...planMarks(facts),
      ...(restoration?.actions ?? []),
      ...instances.actions,
    ],
  };
}

/** While the whole cluster is being restored, its instances are left to that. */
const HELD: ReturnType<typeof planInstances> = { actions: [], intent: { what: 'restoring' } };

function wanted(facts: Facts, restoration: RestorationPlan | undefined): Facts {
  if (restoration?.instances === undefined) return facts;
  return { ...facts, spec: { ...facts.spec, instances: restoration.instances } };
}

/** An action where something differs, none where nothing does. */
function ensured<T extends KubeObject>(kind: Kind<T>, object: T, current: T | undefined): Action[] {
  if (current && !differs(object, current, EXACT)) return [];
  return [{ do: 'ensure', kind, object, ...(current ? { current } : {}) }];
}

function planRights(facts: Facts): Action[] {
  const context: SpecContext = facts;
  return [
    ...ensured(kinds.ServiceAccount, serviceAccount(context), facts.serviceAccount),
    ...ensured(kinds.Role, instanceRole(context), facts.role),
    ...ensured(kinds.RoleBinding, instanceRoleBinding(context), facts.roleBinding),
  ];
}

function planLease(facts: Facts): Action[] {
  if (facts.lease || facts.leaseProblem) return [];
  const { restoration } = facts.cluster.status ?? {};
  // One that was lost in the middle of a restore names whoever restores.
  const restoring = restoration?.stage === 'restoring' ? restoration : undefined;
  const id = systemID(facts);
  const object = newLease(facts, {
    designated: restoring?.instance ?? designatedInstance(facts.cluster.metadata.name),
    ...(id ? { systemID: id } : {}),
    epoch: facts.cluster.status?.leaseEpoch ?? 0,
  });
  return [{ do: 'create', kind: kinds.Lease, object }];
}

function planServices(facts: Facts): Action[] {
  const [ro, r] = readServices(facts) as [ReturnType<typeof writeService>, ReturnType<typeof writeService>];
  return [
    ...planWriteService(facts),
    ...ensured(kinds.Service, ro, facts.ro),
    ...ensured(kinds.Service, r, facts.r),
  ];
}

function planWriteService(facts: Facts): Action[] {
  // Where it points is the leader's to say: an existing one keeps selector and epoch whatever they are.
  if (facts.rw) {
    const desired = writeService(facts);
    return differs(desired, facts.rw)
      ? [{ do: 'ensure', kind: kinds.Service, object: desired, current: facts.rw }]
      : [];
  }
  const leader = leaderName(facts);
  const object = newWriteService(facts, leader ? { name: leader, epoch: facts.lease!.epoch } : undefined);
  return [{ do: 'create', kind: kinds.Service, object }];
}

function planBudget(facts: Facts): Action[] {
  const desired = disruptionBudget(facts, targetInstances(facts));
  if (desired) return ensured(kinds.PodDisruptionBudget, desired, facts.budget);
  const { budget } = facts;
  if (!budget || isTerminating(budget) || !isOwned(budget, facts.cluster)) return [];
  const { name, uid = '' } = budget.metadata;
  return [{ do: 'delete', kind: kinds.PodDisruptionBudget, name, uid, why: 'no budget is wanted' }];
}

/** How many instances there are to be; while the spec is refused, as many as there are. */
function targetInstances(facts: Facts): number {
  return isHeld(facts) ? facts.instances.length : facts.spec.instances;
}
