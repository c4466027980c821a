/** Role-based access control over the Roles and bindings in the store, and the rule against escalation. */
import type { Attributes } from './request.ts';
import { fromSelectorObject, matchesLabels } from './selectors.ts';
import type { Store } from './store.ts';
import { type KubeObject, type Obj, objectAt, objectsAt, stringAt, type User } from './types.ts';

/** One rule of a Role, with missing lists as empty ones. */
export interface Rule {
  verbs: string[];
  apiGroups: string[];
  resources: string[];
  resourceNames: string[];
  nonResourceURLs: string[];
}

const ROLES = 'roles.rbac.authorization.k8s.io';
const CLUSTER_ROLES = 'clusterroles.rbac.authorization.k8s.io';
const ROLE_BINDINGS = 'rolebindings.rbac.authorization.k8s.io';
const CLUSTER_ROLE_BINDINGS = 'clusterrolebindings.rbac.authorization.k8s.io';

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

/** The rules of a role object. */
export function rulesOf(role: unknown): Rule[] {
  return objectsAt(role, 'rules').map((rule) => ({
    verbs: strings(rule.verbs),
    apiGroups: strings(rule.apiGroups),
    resources: strings(rule.resources),
    resourceNames: strings(rule.resourceNames),
    nonResourceURLs: strings(rule.nonResourceURLs),
  }));
}

function resourceMatches(patterns: string[], resource: string, subresource: string | undefined): boolean {
  const full = subresource ? `${resource}/${subresource}` : resource;
  return patterns.some(
    (pattern) =>
      pattern === '*' || pattern === full || (subresource !== undefined && pattern === `*/${subresource}`),
  );
}

function pathMatches(patterns: string[], path: string): boolean {
  return patterns.some((pattern) =>
    pattern.endsWith('*') ? path.startsWith(pattern.slice(0, -1)) : pattern === path,
  );
}

/** Whether one rule allows what is asked. */
function ruleAllows(rule: Rule, asked: Attributes): boolean {
  if (!rule.verbs.includes('*') && !rule.verbs.includes(asked.verb)) return false;
  if (asked.path !== undefined) return pathMatches(rule.nonResourceURLs, asked.path);
  if (!rule.apiGroups.includes('*') && !rule.apiGroups.includes(asked.group)) return false;
  if (!resourceMatches(rule.resources, asked.resource, asked.subresource)) return false;
  return (
    rule.resourceNames.length === 0 || (asked.name !== undefined && rule.resourceNames.includes(asked.name))
  );
}

/** Whether rules held cover a rule that would be granted: every combination in it, one by one. */
export function covers(held: Rule[], wanted: Rule): boolean {
  return combinations(wanted).every((single) => held.some((rule) => ruleCovers(rule, single)));
}

function combinations(rule: Rule): Rule[] {
  const singles: Rule[] = [];
  for (const verb of rule.verbs) {
    for (const url of rule.nonResourceURLs) {
      singles.push({
        verbs: [verb],
        apiGroups: [],
        resources: [],
        resourceNames: [],
        nonResourceURLs: [url],
      });
    }
    for (const group of rule.apiGroups) {
      for (const resource of rule.resources) {
        const names = rule.resourceNames.length ? rule.resourceNames.map((name) => [name]) : [[]];
        for (const resourceNames of names) {
          singles.push({
            verbs: [verb],
            apiGroups: [group],
            resources: [resource],
            resourceNames,
            nonResourceURLs: [],
          });
        }
      }
    }
  }
  return singles;
}

function ruleCovers(held: Rule, single: Rule): boolean {
  const has = (list: string[], value: string) => list.includes('*') || list.includes(value);
  if (!has(held.verbs, single.verbs[0] as string)) return false;
  const [url] = single.nonResourceURLs;
  if (url !== undefined) return pathMatches(held.nonResourceURLs, url) || held.nonResourceURLs.includes(url);
  if (!has(held.apiGroups, single.apiGroups[0] as string)) return false;
  const [resource, subresource] = (single.resources[0] as string).split('/', 2) as [
    string,
    string | undefined,
  ];
  if (!resourceMatches(held.resources, resource, subresource)) return false;
  if (held.resourceNames.length === 0) return true;
  const [name] = single.resourceNames;
  return name !== undefined && held.resourceNames.includes(name);
}

export class Authorizer {
  readonly #store: Store;
  readonly #rules = new Map<string, Rule[]>();

  constructor(store: Store) {
    this.#store = store;
    // Rules are resolved once per user and namespace, and forgotten whenever a role or binding changes.
    for (const resource of [ROLES, CLUSTER_ROLES, ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS]) {
      store.subscribe(resource, () => this.#rules.clear());
    }
  }

  /** Whether a user may do what is asked. */
  allows(asked: Attributes): boolean {
    if (asked.user.groups.includes('system:masters')) return true;
    return this.rulesFor(asked.user, asked.namespace).some((rule) => ruleAllows(rule, asked));
  }

  /** All rules that apply to a user, cluster-wide and in one namespace. */
  rulesFor(user: User, namespace: string | undefined): Rule[] {
    const key = `${user.name}\n${user.groups.join(',')}\n${namespace ?? ''}`;
    let rules = this.#rules.get(key);
    if (!rules) {
      rules = this.#resolve(user, namespace);
      if (this.#rules.size > 500) this.#rules.clear();
      this.#rules.set(key, rules);
    }
    return rules;
  }

  #resolve(user: User, namespace: string | undefined): Rule[] {
    const cluster = this.#store.list(CLUSTER_ROLE_BINDINGS);
    const local = namespace ? this.#store.list(ROLE_BINDINGS, namespace) : [];
    return [...cluster, ...local]
      .filter((binding) =>
        objectsAt(binding, 'subjects').some((subject) => isSubject(subject, user, binding)),
      )
      .flatMap((binding) => this.rulesOfRef(objectAt(binding, 'roleRef'), binding.metadata.namespace));
  }

  /** The rules behind a roleRef; none when the role does not exist. Aggregated ClusterRoles are summed up here. */
  rulesOfRef(ref: Obj, namespace: string | undefined): Rule[] {
    const name = stringAt(ref, 'name') ?? '';
    if (ref.kind === 'Role') return rulesOf(this.#store.get(ROLES, namespace, name));
    const role = this.#store.get(CLUSTER_ROLES, undefined, name);
    return [...rulesOf(role), ...this.#aggregated(role)];
  }

  #aggregated(role: KubeObject | undefined): Rule[] {
    const selectors = objectsAt(role, 'aggregationRule', 'clusterRoleSelectors').map(fromSelectorObject);
    if (selectors.length === 0) return [];
    return this.#store
      .list(CLUSTER_ROLES)
      .filter(
        (one) => one !== role && selectors.some((selector) => matchesLabels(one.metadata.labels, selector)),
      )
      .flatMap(rulesOf);
  }

  /** The rules a user would grant without holding them; empty when the grant is allowed. */
  escalation(user: User, namespace: string | undefined, wanted: Rule[]): Rule[] {
    if (user.groups.includes('system:masters')) return [];
    const held = this.rulesFor(user, namespace);
    return wanted.filter((rule) => !covers(held, rule));
  }
}

function isSubject(subject: Obj, user: User, binding: KubeObject): boolean {
  if (subject.kind === 'User') return subject.name === user.name;
  if (subject.kind === 'Group') return user.groups.includes(String(subject.name));
  if (subject.kind !== 'ServiceAccount') return false;
  const namespace = stringAt(subject, 'namespace') ?? binding.metadata.namespace;
  return user.name === `system:serviceaccount:${namespace}:${subject.name}`;
}
