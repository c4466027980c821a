import {
  hasLabels,
  matchesRequirement,
  matchesSelector,
  type Namespace,
  type Node,
  type NodeSelectorTerm,
  type PersistentVolume,
  type Pod,
  type PodAffinityTerm,
  quantity,
  type Taint,
  type Toleration,
  type TopologySpreadConstraint,
} from '@pgherd/kube';
import { conditionOf, controllerOf, isFinished, isTerminating } from './pods.ts';

/** Which node a pod goes to. All of it is pure: a snapshot in, a decision out. */

export interface Snapshot {
  nodes: Node[];
  /** Pods that have a node, those included for which we have just chosen one. */
  pods: Pod[];
  namespaces: Namespace[];
}

/** What is known of one claim of a pod. */
export type ClaimFact =
  | { state: 'missing'; name: string }
  | { state: 'bound'; name: string; volume: PersistentVolume }
  /** Not bound yet: `node` is the one chosen for it before, `waits` that it wants one to be chosen. */
  | { state: 'unbound'; name: string; waits: boolean; node?: string; reason?: string };

export type Placement = { node: string } | { node: undefined; message: string };

const NOT_READY: Taint = { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' };
const UNSCHEDULABLE: Taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };

/** Chooses the best node that fits, or says in Kubernetes' words why none does. */
export function place(pod: Pod, claims: ClaimFact[], snapshot: Snapshot): Placement {
  for (const claim of claims) {
    if (claim.state === 'missing')
      return { node: undefined, message: `persistentvolumeclaim "${claim.name}" not found` };
    if (claim.state === 'unbound' && !claim.waits) {
      const why = claim.reason ?? 'pod has unbound immediate PersistentVolumeClaims';
      return { node: undefined, message: why };
    }
  }
  const view = new View(snapshot);
  const reasons = new Map<string, number>();
  let best: { node: string; score: number; load: number } | undefined;
  for (const node of snapshot.nodes) {
    const reason = misfit(pod, node, claims, view);
    if (reason) {
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      continue;
    }
    const score = scoreOf(pod, node, view);
    const load = view.on(node).length;
    const better =
      !best ||
      score > best.score ||
      (score === best.score && (load < best.load || (load === best.load && node.metadata.name < best.node)));
    if (better) best = { node: node.metadata.name, score, load };
  }
  if (best) return { node: best.node };
  const listed = [...reasons].map(([reason, count]) => `${count} ${reason}`).sort();
  return {
    node: undefined,
    message: `0/${snapshot.nodes.length} nodes are available: ${listed.join(', ') || 'there is no node'}.`,
  };
}

/** A snapshot, looked at from several sides. */
class View {
  readonly nodes: Node[];
  readonly pods: Pod[];
  private readonly byNode = new Map<string, Pod[]>();
  private readonly namespaceLabels: Map<string, Record<string, string>>;
  private readonly nodeByName: Map<string, Node>;

  constructor(snapshot: Snapshot) {
    this.nodes = snapshot.nodes;
    this.pods = snapshot.pods.filter((pod) => !isFinished(pod));
    this.nodeByName = new Map(snapshot.nodes.map((node) => [node.metadata.name, node]));
    this.namespaceLabels = new Map(
      snapshot.namespaces.map(({ metadata }) => [metadata.name, metadata.labels ?? {}]),
    );
    for (const pod of this.pods) {
      const on = this.byNode.get(pod.spec.nodeName!);
      if (on) on.push(pod);
      else this.byNode.set(pod.spec.nodeName!, [pod]);
    }
  }

  on(node: Node): Pod[] {
    return this.byNode.get(node.metadata.name) ?? [];
  }

  /** The pods in the same topology domain as `node`; undefined when the node is in none. */
  near(node: Node, topologyKey: string): Pod[] | undefined {
    const domain = labelOf(node, topologyKey);
    if (domain === undefined) return undefined;
    return this.pods.filter((pod) => {
      const other = this.nodeByName.get(pod.spec.nodeName!);
      return other !== undefined && labelOf(other, topologyKey) === domain;
    });
  }

  /** Whether `term` of a pod in `namespace` speaks of `other`. */
  termMatches(term: PodAffinityTerm, namespace: string, other: Pod): boolean {
    if (!matchesSelector(other.metadata.labels, term.labelSelector)) return false;
    const there = other.metadata.namespace ?? '';
    if (term.namespaces?.includes(there)) return true;
    if (term.namespaceSelector)
      return matchesSelector(this.namespaceLabels.get(there), term.namespaceSelector);
    return !term.namespaces?.length && there === namespace;
  }
}

const HOSTNAME = 'kubernetes.io/hostname';

function labelOf(node: Node, key: string): string | undefined {
  return node.metadata.labels?.[key] ?? (key === HOSTNAME ? node.metadata.name : undefined);
}

/** Why a pod cannot run on a node, or undefined when it can. */
function misfit(pod: Pod, node: Node, claims: ClaimFact[], view: View): string | undefined {
  return (
    taintMisfit(pod, node) ??
    (matchesNode(pod, node) ? undefined : "node(s) didn't match Pod's node affinity/selector") ??
    volumeMisfit(node, claims) ??
    resourceMisfit(pod, node, view.on(node)) ??
    spreadMisfit(pod, node, view) ??
    affinityMisfit(pod, node, view)
  );
}

/** True when one of the tolerations covers the taint. */
export function tolerates(tolerations: Toleration[] | undefined, taint: Taint): boolean {
  return (tolerations ?? []).some(({ key, operator = 'Equal', value = '', effect }) => {
    if (effect && effect !== taint.effect) return false;
    if (!key) return operator === 'Exists';
    return key === taint.key && (operator === 'Exists' || value === (taint.value ?? ''));
  });
}

function taintMisfit(pod: Pod, node: Node): string | undefined {
  const taints = [...(node.spec?.taints ?? [])];
  if (node.spec?.unschedulable) taints.push(UNSCHEDULABLE);
  // The taint of a node that is not ready may be a moment behind its condition.
  if (conditionOf(node, 'Ready')?.status !== 'True') taints.push(NOT_READY);
  const bad = taints.find(
    (taint) => taint.effect !== 'PreferNoSchedule' && !tolerates(pod.spec.tolerations, taint),
  );
  if (!bad) return undefined;
  if (bad.key === UNSCHEDULABLE.key) return 'node(s) were unschedulable';
  return `node(s) had untolerated taint {${bad.key}: ${bad.value ?? ''}}`;
}

/** True when the terms (any of them) hold for a node. */
export function matchesTerms(node: Node, terms: NodeSelectorTerm[]): boolean {
  return terms.some(({ matchExpressions = [], matchFields = [] }) => {
    if (matchExpressions.length === 0 && matchFields.length === 0) return false;
    const labels = { [HOSTNAME]: node.metadata.name, ...node.metadata.labels };
    return (
      matchExpressions.every((requirement) => matchesRequirement(labels, requirement)) &&
      matchFields.every((requirement) =>
        matchesRequirement({ 'metadata.name': node.metadata.name }, requirement),
      )
    );
  });
}

function matchesNode(pod: Pod, node: Node): boolean {
  if (!hasLabels({ [HOSTNAME]: node.metadata.name, ...node.metadata.labels }, pod.spec.nodeSelector ?? {}))
    return false;
  const required = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return !required || matchesTerms(node, required.nodeSelectorTerms);
}

function volumeMisfit(node: Node, claims: ClaimFact[]): string | undefined {
  for (const claim of claims) {
    if (claim.state !== 'bound') continue;
    const required = claim.volume.spec.nodeAffinity?.required;
    if (required && !matchesTerms(node, required.nodeSelectorTerms))
      return 'node(s) had volume node affinity conflict';
  }
  return undefined;
}

function requested(pod: Pod, resource: string): number {
  const sum = (pod.spec.containers ?? []).reduce(
    (total, one) => total + amount(one.resources?.requests, resource),
    0,
  );
  const init = Math.max(
    0,
    ...(pod.spec.initContainers ?? []).map((one) => amount(one.resources?.requests, resource)),
  );
  return Math.max(sum, init);
}

function amount(amounts: Record<string, string> | undefined, resource: string): number {
  return amounts?.[resource] === undefined ? 0 : quantity(amounts[resource]);
}

function resourceMisfit(pod: Pod, node: Node, others: Pod[]): string | undefined {
  const allocatable = node.status?.allocatable ?? {};
  if (allocatable.pods !== undefined && others.length + 1 > quantity(allocatable.pods))
    return 'Too many pods';
  for (const resource of ['cpu', 'memory']) {
    const wanted = requested(pod, resource);
    if (wanted === 0 || allocatable[resource] === undefined) continue;
    const used = others.reduce((total, other) => total + requested(other, resource), 0);
    if (used + wanted > quantity(allocatable[resource])) return `Insufficient ${resource}`;
  }
  return undefined;
}

function spreadMisfit(pod: Pod, node: Node, view: View): string | undefined {
  for (const constraint of pod.spec.topologySpreadConstraints ?? []) {
    if (constraint.whenUnsatisfiable === 'ScheduleAnyway') continue;
    if (labelOf(node, constraint.topologyKey) === undefined) {
      return "node(s) didn't match pod topology spread constraints (missing required label)";
    }
    if (skewWith(pod, node, constraint, view) > constraint.maxSkew) {
      return "node(s) didn't match pod topology spread constraints";
    }
  }
  return undefined;
}

/** How uneven the pods of a constraint would be with this pod on `node`. */
function skewWith(pod: Pod, node: Node, constraint: TopologySpreadConstraint, view: View): number {
  const counts = new Map<string, number>();
  for (const other of view.nodes) {
    const domain = labelOf(other, constraint.topologyKey);
    if (domain === undefined || !matchesNode(pod, other)) continue;
    const here = view
      .on(other)
      .filter(
        ({ metadata }) =>
          !metadata.deletionTimestamp &&
          metadata.namespace === pod.metadata.namespace &&
          matchesSelector(metadata.labels, constraint.labelSelector),
      );
    counts.set(domain, (counts.get(domain) ?? 0) + here.length);
  }
  const domains = counts.size;
  const fewest = domains < (constraint.minDomains ?? 1) ? 0 : Math.min(...counts.values());
  const self = matchesSelector(pod.metadata.labels, constraint.labelSelector) ? 1 : 0;
  return (counts.get(labelOf(node, constraint.topologyKey)!) ?? 0) + self - fewest;
}

function affinityMisfit(pod: Pod, node: Node, view: View): string | undefined {
  const { podAffinity, podAntiAffinity } = pod.spec.affinity ?? {};
  const namespace = pod.metadata.namespace ?? '';
  for (const term of podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []) {
    if (!affinityHolds(pod, term, node, view)) return "node(s) didn't match pod affinity rules";
  }
  for (const term of podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []) {
    const near = view.near(node, term.topologyKey) ?? [];
    if (near.some((other) => view.termMatches(term, namespace, other))) {
      return "node(s) didn't match pod anti-affinity rules";
    }
  }
  return refusedByOthers(pod, node, view);
}

/** The others' refusals count as much as our own. */
function refusedByOthers(pod: Pod, node: Node, view: View): string | undefined {
  for (const other of view.pods) {
    const terms = other.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
    for (const term of terms) {
      if (!view.termMatches(term, other.metadata.namespace ?? '', pod)) continue;
      if (view.near(node, term.topologyKey)?.includes(other)) {
        return "node(s) didn't satisfy existing pods anti-affinity rules";
      }
    }
  }
  return undefined;
}

function affinityHolds(pod: Pod, term: PodAffinityTerm, node: Node, view: View): boolean {
  const namespace = pod.metadata.namespace ?? '';
  const near = view.near(node, term.topologyKey);
  if (!near) return false;
  if (near.some((other) => view.termMatches(term, namespace, other))) return true;
  // The first of a group that wants to be together may start anywhere.
  return (
    view.termMatches(term, namespace, pod) &&
    !view.pods.some((other) => view.termMatches(term, namespace, other))
  );
}

/** Higher is better. Wishes first, then evenness. */
function scoreOf(pod: Pod, node: Node, view: View): number {
  const { nodeAffinity, podAffinity, podAntiAffinity } = pod.spec.affinity ?? {};
  const namespace = pod.metadata.namespace ?? '';
  let score = 0;
  for (const { weight, preference } of nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []) {
    if (matchesTerms(node, [preference])) score += weight * 10;
  }
  const wish = (terms: { weight: number; podAffinityTerm: PodAffinityTerm }[] | undefined, sign: number) => {
    for (const { weight, podAffinityTerm } of terms ?? []) {
      const near = view.near(node, podAffinityTerm.topologyKey) ?? [];
      score +=
        sign *
        weight *
        10 *
        near.filter((other) => view.termMatches(podAffinityTerm, namespace, other)).length;
    }
  };
  wish(podAffinity?.preferredDuringSchedulingIgnoredDuringExecution, 1);
  wish(podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution, -1);
  for (const constraint of pod.spec.topologySpreadConstraints ?? []) {
    if (constraint.whenUnsatisfiable === 'ScheduleAnyway')
      score -= 100 * skewWith(pod, node, constraint, view);
  }
  for (const taint of node.spec?.taints ?? []) {
    if (taint.effect === 'PreferNoSchedule' && !tolerates(pod.spec.tolerations, taint)) score -= 500;
  }
  const owner = controllerOf(pod)?.uid;
  const siblings = view
    .on(node)
    .filter((other) => owner && controllerOf(other)?.uid === owner && !isTerminating(other));
  return score - 20 * siblings.length;
}
