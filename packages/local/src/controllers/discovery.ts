import type { Client, Kind } from '@pgherd/kube';

/** A kind that the API serves, and what may be done with it. */
export interface ServedKind extends Kind {
  verbs: string[];
  subresources: string[];
}

interface DiscoveredResource {
  resource: string;
  scope: string;
  verbs: string[];
  responseKind?: { kind: string };
  subresources?: { subresource: string }[];
}

interface DiscoveredGroup {
  metadata?: { name?: string };
  versions: { version: string; resources?: DiscoveredResource[] }[];
}

const ACCEPT = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';

/** The kinds the API serves, read when asked for and again when a definition changed. */
export class Discovery {
  private readonly client: Client;
  private known: Promise<ServedKind[]> | undefined;

  constructor(client: Client) {
    this.client = client;
  }

  /** All kinds, each in one version (its group's first that has it). */
  kinds(): Promise<ServedKind[]> {
    this.known ??= this.read().catch((error) => {
      this.known = undefined;
      throw error;
    });
    return this.known;
  }

  /** Forget: the next look reads again. */
  invalidate(): void {
    this.known = undefined;
  }

  /** The kind of an owner reference, in whatever version it is served. */
  async find(apiVersion: string, kind: string): Promise<ServedKind | undefined> {
    const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
    const found = (await this.kinds()).find((served) => served.group === group && served.kind === kind);
    return found;
  }

  private async read(): Promise<ServedKind[]> {
    const paths = ['/api', '/apis'];
    const lists = await Promise.all(
      paths.map((path) =>
        this.client.json<{ items?: DiscoveredGroup[] }>({
          path,
          headers: { accept: ACCEPT },
          doing: 'reading the kinds served',
        }),
      ),
    );
    return lists.flatMap(({ items }) => items ?? []).flatMap(kindsOfGroup);
  }
}

function kindsOfGroup(item: DiscoveredGroup): ServedKind[] {
  const group = item.metadata?.name ?? '';
  const found = new Map<string, ServedKind>();
  for (const { version, resources = [] } of item.versions) {
    for (const { resource, scope, verbs, responseKind, subresources = [] } of resources) {
      if (found.has(resource) || !responseKind) continue;
      found.set(resource, {
        group,
        version,
        plural: resource,
        kind: responseKind.kind,
        namespaced: scope === 'Namespaced',
        verbs,
        subresources: subresources.map(({ subresource }) => subresource),
      });
    }
  }
  return [...found.values()];
}
