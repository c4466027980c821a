/** Which resources exist right now: the built-in ones and those that CustomResourceDefinitions add. */
import { BUILTIN, REVIEWS } from './kinds.ts';
import type { Resource } from './types.ts';

export class Registry {
  readonly #resources = new Map<string, Resource>();
  /** Raised at every change; part of the hash that lets clients cache OpenAPI documents. */
  generation = 0;

  constructor() {
    for (const resource of [...BUILTIN, ...REVIEWS]) this.#resources.set(keyOf(resource), resource);
  }

  find(group: string, version: string, plural: string): Resource | undefined {
    return this.#resources.get(`${group}/${version}/${plural}`);
  }

  byKind(group: string, version: string, kind: string): Resource | undefined {
    return this.all().find((one) => one.group === group && one.version === version && one.kind === kind);
  }

  /** Any served version of a resource by group and plural, the first one declared. */
  anyVersion(group: string, plural: string): Resource | undefined {
    return this.all().find((one) => one.group === group && one.plural === plural);
  }

  all(): Resource[] {
    return [...this.#resources.values()];
  }

  /** Replaces what one CustomResourceDefinition adds; an empty list removes it. */
  setCustom(crdName: string, resources: Resource[]): void {
    for (const [key, resource] of this.#resources)
      if (resource.custom?.crdName === crdName) this.#resources.delete(key);
    for (const resource of resources) this.#resources.set(keyOf(resource), resource);
    this.generation += 1;
  }

  /** Groups with their versions, core ('') first, in the order of preference. */
  groups(): { group: string; versions: string[] }[] {
    const groups = new Map<string, string[]>();
    for (const { group, version } of this.#resources.values()) {
      const versions = groups.get(group) ?? [];
      if (!versions.includes(version)) versions.push(version);
      groups.set(group, versions);
    }
    return [...groups].map(([group, versions]) => ({ group, versions: versions.sort(compareVersions) }));
  }
}

function keyOf(resource: Resource): string {
  return `${resource.group}/${resource.version}/${resource.plural}`;
}

/** Kubernetes' order of versions: v2, v1, v1beta2, v1beta1, v1alpha1, others by name; the preferred one first. */
export function compareVersions(a: string, b: string): number {
  const [x, y] = [parseVersion(a), parseVersion(b)];
  if (!x || !y) return x ? -1 : y ? 1 : a.localeCompare(b);
  return y.stability - x.stability || y.major - x.major || y.minor - x.minor;
}

function parseVersion(text: string): { major: number; stability: number; minor: number } | undefined {
  const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(text);
  if (!match) return undefined;
  const stability = match[2] === 'alpha' ? 0 : match[2] === 'beta' ? 1 : 2;
  return { major: Number(match[1]), stability, minor: Number(match[3] ?? 0) };
}

/** `v1` or `group/version`. */
export function apiVersionOf(resource: { group: string; version: string }): string {
  return resource.group ? `${resource.group}/${resource.version}` : resource.version;
}
