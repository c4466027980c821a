/** Lists: selection, chunks, and the rules about resourceVersion. */
import { matches, type Selector } from './selectors.ts';
import { badRequest, expired, tooLargeVersion } from './status.ts';
import type { Store } from './store.ts';
import type { KubeObject, Obj, Resource } from './types.ts';

export interface ListResult {
  items: KubeObject[];
  metadata: Obj;
}

/** Lists what matches, at the latest version, in chunks when `limit` asks for it. */
export function listObjects(
  store: Store,
  resource: Resource,
  namespace: string | undefined,
  selector: Selector,
  query: URLSearchParams,
): ListResult {
  checkVersion(store, resource, query);
  const limit = Number(query.get('limit') ?? 0);
  const token = query.get('continue');
  const after = token ? readToken(token) : undefined;
  const present = store.list(resource.storage, namespace);
  const all = (after ? asOf(store, resource, namespace, present, after.rv) : present).filter((object) =>
    matches(object, selector),
  );
  const rest = after ? all.filter((object) => orderKey(object) > after.key) : all;
  const resourceVersion = String(after?.rv ?? store.rv);
  if (!limit || rest.length <= limit) return { items: rest, metadata: { resourceVersion } };
  const items = rest.slice(0, limit);
  const next = writeToken({ rv: Number(resourceVersion), key: orderKey(items.at(-1) as KubeObject) });
  return { items, metadata: { resourceVersion, continue: next, remainingItemCount: rest.length - limit } };
}

/** The objects that were there at a version: later pages of a list must fit the first. */
function asOf(
  store: Store,
  resource: Resource,
  namespace: string | undefined,
  present: KubeObject[],
  rv: number,
): KubeObject[] {
  const changes = store.since(resource.storage, rv);
  if (!changes)
    throw expired('The provided continue parameter is too old to display a consistent list result.');
  if (changes.length === 0) return present;
  const objects = new Map(present.map((object) => [orderKey(object), object]));
  // Newest first, so that the first change after the version has the last word.
  for (const { type, object, old } of changes.toReversed()) {
    if (namespace && object.metadata.namespace !== namespace) continue;
    if (type === 'ADDED') objects.delete(orderKey(object));
    else objects.set(orderKey(object), old ?? object);
  }
  return [...objects].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);
}

function checkVersion(store: Store, resource: Resource, query: URLSearchParams): void {
  const text = query.get('resourceVersion');
  if (!text || text === '0' || query.get('continue')) return;
  const rv = Number(text);
  if (!Number.isInteger(rv) || rv < 0) throw badRequest(`invalid resource version ${JSON.stringify(text)}`);
  const exact = query.get('resourceVersionMatch') === 'Exact';
  // Only the present is kept: an exact list of the past works while nothing of the resource changed since.
  if (rv > store.rv) throw tooLargeVersion(rv, store.rv);
  if (exact && store.since(resource.storage, rv)?.length !== 0) {
    throw expired(
      `The provided resource version ${rv} is not available (oldest: ${store.oldest(resource.storage)}, latest: ${store.rv}).`,
    );
  }
}

function orderKey(object: KubeObject): string {
  const { namespace, name } = object.metadata;
  return namespace ? `${namespace}/${name}` : name;
}

function writeToken(value: { rv: number; key: string }): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function readToken(token: string): { rv: number; key: string } {
  try {
    const value = JSON.parse(Buffer.from(token, 'base64url').toString()) as { rv?: unknown; key?: unknown };
    if (typeof value.rv === 'number' && typeof value.key === 'string')
      return { rv: value.rv, key: value.key };
  } catch {
    // Falls through to the refusal below.
  }
  throw badRequest('continue key is not valid');
}
