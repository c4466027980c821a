/** Lists: selection, chunks, and the rules about resourceVersion. */
import { matches, type Selector } from './selectors.ts';
import {
  badRequest,
  expired,
  forbiddenValue,
  invalidOptions,
  tooLargeVersion,
  unsupportedValue,
} from './status.ts';
import type { Store } from './store.ts';
import type { KubeObject, Obj, Resource } from './types.ts';

export interface ListResult {
  items: KubeObject[];
  metadata: Obj;
}

/** Lists what matches, at the latest version or at the one asked for, in chunks when `limit` asks for it. */
export function listObjects(
  store: Store,
  resource: Resource,
  namespace: string | undefined,
  selector: Selector,
  query: URLSearchParams,
): ListResult {
  checkVersionMatch(query);
  const limit = Number(query.get('limit') ?? 0);
  const token = query.get('continue');
  const after = token ? readToken(token) : undefined;
  if (after && Number(query.get('resourceVersion') ?? 0) > 0)
    throw badRequest('specifying resource version is not allowed when using continue');
  const at = after?.rv ?? exactVersion(store, query, limit);
  const present = store.list(resource.storage, namespace);
  const all = (at === undefined ? present : asOf(store, resource, namespace, present, at)).filter((object) =>
    matches(object, selector),
  );
  const rest = after ? all.filter((object) => orderKey(object) > after.key) : all;
  const resourceVersion = String(at ?? store.rv);
  if (!limit || rest.length <= limit) return { items: rest, metadata: { resourceVersion } };
  const items = rest.slice(0, limit);
  const next = writeToken({ rv: Number(resourceVersion), key: orderKey(items.at(-1) as KubeObject) });
  return { items, metadata: { resourceVersion, continue: next, remainingItemCount: rest.length - limit } };
}

/** The objects that were there at a version: later pages of a list must fit the first, and some ask for it. */
function asOf(
  store: Store,
  resource: Resource,
  namespace: string | undefined,
  present: KubeObject[],
  rv: number,
): KubeObject[] {
  const changes = store.since(resource.storage, rv);
  if (!changes)
    throw expired(
      `The resourceVersion ${rv} for the list is too old to display a consistent list result (oldest: ${store.oldest(resource.storage)}).`,
    );
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

/** Refuses what resourceVersionMatch cannot be together with. */
function checkVersionMatch(query: URLSearchParams): void {
  const match = query.get('resourceVersionMatch');
  if (!match) return;
  const version = query.get('resourceVersion');
  const refuse = (why: string) =>
    invalidOptions('ListOptions', [forbiddenValue('resourceVersionMatch', why)]);
  if (!version) throw refuse('resourceVersionMatch is forbidden unless resourceVersion is provided');
  if (query.get('continue')) throw refuse('resourceVersionMatch is forbidden when continue is provided');
  if (match === 'Exact' && version === '0')
    throw refuse('resourceVersionMatch "exact" is forbidden for resourceVersion "0"');
  if (match !== 'Exact' && match !== 'NotOlderThan')
    throw invalidOptions('ListOptions', [
      unsupportedValue('resourceVersionMatch', match, ['Exact', 'NotOlderThan', '']),
    ]);
}

/** The version of the past that is asked for; undefined: the present is as good. */
function exactVersion(store: Store, query: URLSearchParams, limit: number): number | undefined {
  const text = query.get('resourceVersion');
  if (!text || text === '0') return undefined;
  const rv = Number(text);
  if (!Number.isInteger(rv) || rv < 0) throw badRequest(`invalid resource version ${JSON.stringify(text)}`);
  if (rv > store.rv) throw tooLargeVersion(rv, store.rv);
  const match = query.get('resourceVersionMatch');
  // A page of a version is of just that version, if nothing else is said.
  return match === 'Exact' || (!match && limit > 0) ? rv : undefined;
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
