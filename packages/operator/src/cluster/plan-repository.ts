/** What a cluster's repositories need in Kubernetes. Pure. */
import { parseBytes, repositoryNumbers } from '@pgherd/api';
import { type Kind, type KubeObject, kinds, type PersistentVolumeClaim } from '@pgherd/kube';
import { differs } from '@pgherd/kube/merge';
import type { Action } from './actions.ts';
import { type Facts, isTerminating } from './facts.ts';
import {
  needsRepositoryPod,
  podsService,
  repositoryClaim,
  repositoryDeployment,
  repositoryService,
  volumeRepositories,
} from './specs/repository.ts';

/** The numbers by which pgBackRest knows the repositories of this cluster. */
export function numbersOf({ spec, cluster }: Pick<Facts, 'spec' | 'cluster'>): Map<string, number> {
  const wanted = spec.backup?.repositories.map(({ name }) => name) ?? [];
  return repositoryNumbers(wanted, cluster.status?.backup?.repositories);
}

export function planRepository(facts: Facts): Action[] {
  const { backup } = facts.spec;
  const found = facts.backup ?? { claims: [] };
  const volumes = volumeRepositories(backup);
  const pods = backup
    ? ensured(kinds.Service, podsService(facts), found.pods)
    : remove(kinds.Service, found.pods);
  if (!needsRepositoryPod(facts)) return [...pods, ...unwanted(facts)];
  return [
    ...pods,
    ...volumes.flatMap((one) => planClaim(repositoryClaim(facts, one), found.claims)),
    ...ensured(kinds.Service, repositoryService(facts), found.service),
    ...ensured(kinds.Deployment, repositoryDeployment(facts, numbersOf(facts)), found.deployment),
  ];
}

function ensured<T extends KubeObject>(kind: Kind<T>, object: T, current: T | undefined): Action[] {
  if (current && (isTerminating(current) || !differs(object, current, ['spec.selector']))) return [];
  return [{ do: 'ensure', kind, object, ...(current ? { current } : {}) }];
}

/** A claim that is there, of an earlier cluster of this name too, is used as it is; it only grows. */
function planClaim(wanted: PersistentVolumeClaim, claims: PersistentVolumeClaim[]): Action[] {
  const { name } = wanted.metadata;
  const current = claims.find(({ metadata }) => metadata.name === name);
  if (!current) return [{ do: 'create', kind: kinds.PersistentVolumeClaim, object: wanted }];
  const size = (claim: PersistentVolumeClaim) => claim.spec.resources?.requests?.storage ?? '0';
  if (parseBytes(size(wanted)) <= parseBytes(size(current))) return [];
  const body = { spec: { resources: { requests: { storage: size(wanted) } } } };
  return [
    { do: 'patch', kind: kinds.PersistentVolumeClaim, name, body, why: 'the repository is to be larger' },
  ];
}

/** The pod goes when no repository is a volume any more; the volumes stay. */
function unwanted({ backup }: Facts): Action[] {
  return [...remove(kinds.Deployment, backup?.deployment), ...remove(kinds.Service, backup?.service)];
}

function remove(kind: Kind, object: KubeObject | undefined): Action[] {
  if (!object || isTerminating(object)) return [];
  const { name, uid = '' } = object.metadata;
  return [{ do: 'delete', kind, name, uid, why: 'no repository needs it any more' }];
}
