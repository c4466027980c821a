/** Discovery: which groups, versions and resources there are, in the aggregated and in the old form. */
import type { Registry } from './registry.ts';
import type { Obj, Resource } from './types.ts';

/** A discovery document with its content type, or undefined when the path is not one. */
export interface DiscoveryAnswer {
  body: Obj;
  contentType: string;
}

/** Answers `/api`, `/apis`, `/api/v1`, `/apis/G`, `/apis/G/V`. */
export function discover(registry: Registry, path: string, accept: string): DiscoveryAnswer | undefined {
  const parts = path.split('/').filter(Boolean);
  if (parts[0] === 'api' && parts.length === 1) return root(registry, accept, true);
  if (parts[0] === 'apis' && parts.length === 1) return root(registry, accept, false);
  const [group, version] = parts[0] === 'api' ? ['', parts[1]] : [parts[1] as string, parts[2]];
  const known = registry.groups().find((one) => one.group === group);
  if (!known) return undefined;
  if (version === undefined) return json(groupOf(known));
  if (!known.versions.includes(version) || parts.length > (group ? 3 : 2)) return undefined;
  return json(resourceList(registry, group, version));
}

function json(body: Obj): DiscoveryAnswer {
  return { body, contentType: 'application/json' };
}

function root(registry: Registry, accept: string, core: boolean): DiscoveryAnswer {
  const groups = registry.groups().filter(({ group }) => (group === '') === core);
  const aggregated = /application\/json;g=apidiscovery\.k8s\.io;v=(v2beta1|v2);as=APIGroupDiscoveryList/.exec(
    accept,
  );
  if (aggregated) {
    const version = aggregated[1] as string;
    return {
      contentType: `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
      body: {
        kind: 'APIGroupDiscoveryList',
        apiVersion: `apidiscovery.k8s.io/${version}`,
        metadata: {},
        items: groups.map(({ group, versions }) => ({
          metadata: { name: group, creationTimestamp: null },
          versions: versions.map((one) => ({
            version: one,
            freshness: 'Current',
            resources: aggregatedResources(registry, group, one),
          })),
        })),
      },
    };
  }
  if (core) {
    return json({ kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] });
  }
  return json({ kind: 'APIGroupList', apiVersion: 'v1', groups: groups.map(groupOf) });
}

function groupOf({ group, versions }: { group: string; versions: string[] }): Obj {
  const all = versions.map((version) => ({ groupVersion: `${group}/${version}`, version }));
  return { kind: 'APIGroup', apiVersion: 'v1', name: group, versions: all, preferredVersion: all[0] };
}

function inVersion(registry: Registry, group: string, version: string): Resource[] {
  return registry
    .all()
    .filter((one) => one.group === group && one.version === version)
    .sort((a, b) => a.plural.localeCompare(b.plural));
}

interface Sub {
  name: string;
  kind: string;
  group: string;
  version: string;
  verbs: string[];
}

function subresourcesOf(resource: Resource): Sub[] {
  const { group, version, kind } = resource;
  const subs: Sub[] = [];
  if (resource.status) subs.push({ name: 'status', kind, group, version, verbs: ['get', 'patch', 'update'] });
  if (resource.scale)
    subs.push({
      name: 'scale',
      kind: 'Scale',
      group: 'autoscaling',
      version: 'v1',
      verbs: ['get', 'patch', 'update'],
    });
  for (const sub of resource.subresources ?? [])
    subs.push({ ...sub, group: sub.group ?? group, version: sub.version ?? version });
  return subs;
}

function aggregatedResources(registry: Registry, group: string, version: string): Obj[] {
  return inVersion(registry, group, version).map((resource) => ({
    resource: resource.plural,
    responseKind: { group, version, kind: resource.kind },
    scope: resource.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: resource.singular,
    verbs: resource.verbs,
    ...(resource.shortNames.length ? { shortNames: resource.shortNames } : {}),
    ...(resource.categories.length ? { categories: resource.categories } : {}),
    subresources: subresourcesOf(resource).map((sub) => ({
      subresource: sub.name,
      responseKind: { group: sub.group, version: sub.version, kind: sub.kind },
      verbs: sub.verbs,
    })),
  }));
}

function resourceList(registry: Registry, group: string, version: string): Obj {
  const resources = inVersion(registry, group, version).flatMap((resource) => [
    {
      name: resource.plural,
      singularName: resource.singular,
      namespaced: resource.namespaced,
      kind: resource.kind,
      verbs: resource.verbs,
      ...(resource.shortNames.length ? { shortNames: resource.shortNames } : {}),
      ...(resource.categories.length ? { categories: resource.categories } : {}),
    },
    ...subresourcesOf(resource).map((sub) => ({
      name: `${resource.plural}/${sub.name}`,
      singularName: '',
      namespaced: resource.namespaced,
      kind: sub.kind,
      verbs: sub.verbs,
      ...(sub.group === group ? {} : { group: sub.group, version: sub.version }),
    })),
  ]);
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: group ? `${group}/${version}` : version,
    resources,
  };
}
