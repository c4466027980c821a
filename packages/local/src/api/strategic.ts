/**
 * Strategic merge patch: like a merge patch, but lists of built-in kinds merge by their keys, with the
 * directives `$patch`, `$retainKeys`, `$setElementOrder/...` and `$deleteFromPrimitiveList/...`.
 */
import { builtinSchema, deref } from './schema/builtin.ts';
import { badRequest } from './status.ts';
import { clone, isObject, type KubeObject, type Obj, type Resource, type Schema, same } from './types.ts';

const ORDER = '$setElementOrder/';
const DELETE_PRIMITIVE = '$deleteFromPrimitiveList/';

/** The object with a strategic merge patch applied. The result shares nothing with the original. */
export function strategicMergePatch(object: KubeObject, patch: Obj, resource: Resource): KubeObject {
  const schema = builtinSchema(resource.group, resource.version, resource.kind);
  return mergeMap(clone(object), clone(patch), schema) as KubeObject;
}

function strategiesOf(schema: Schema | undefined): string[] {
  return String(schema?.['x-kubernetes-patch-strategy'] ?? '').split(',');
}

/** The schema of a field, keeping the patch extensions that stand beside a `$ref`. */
function fieldSchema(schema: Schema | undefined, key: string): Schema | undefined {
  const target = deref(schema);
  const property = target?.properties?.[key];
  if (property) return property;
  return isObject(target?.additionalProperties) ? (target.additionalProperties as Schema) : undefined;
}

function mergeMap(original: Obj, patch: Obj, schema: Schema | undefined): Obj {
  if (patch.$patch === 'replace') return withoutDirectives(patch);
  if (patch.$patch === 'delete') return {};
  if (patch.$patch !== undefined && patch.$patch !== 'merge')
    throw badRequest(`invalid value for $patch: ${JSON.stringify(patch.$patch)}`);
  retainKeys(original, patch);
  for (const [key, value] of Object.entries(patch)) {
    if (key === '$patch' || key === '$retainKeys' || key.startsWith(ORDER)) continue;
    if (key.startsWith(DELETE_PRIMITIVE)) {
      deleteFromPrimitives(original, key.slice(DELETE_PRIMITIVE.length), value);
      continue;
    }
    mergeField(original, key, value, patch, schema);
  }
  orderOnly(original, patch, schema);
  return original;
}

function mergeField(
  original: Obj,
  key: string,
  value: unknown,
  patch: Obj,
  schema: Schema | undefined,
): void {
  const property = fieldSchema(schema, key);
  const existing = original[key];
  if (value === null) delete original[key];
  else if (isObject(value)) {
    const isReplaced = strategiesOf(property).includes('replace');
    original[key] = mergeMap(isObject(existing) && !isReplaced ? existing : {}, value, property);
  } else if (Array.isArray(value) && strategiesOf(property).includes('merge')) {
    const order = patch[`${ORDER}${key}`];
    original[key] = mergeList(
      Array.isArray(existing) ? existing : [],
      value,
      property as Schema,
      Array.isArray(order) ? order : undefined,
    );
  } else original[key] = value;
}

function retainKeys(original: Obj, patch: Obj): void {
  const keys = patch.$retainKeys;
  if (!Array.isArray(keys)) return;
  for (const key of Object.keys(original)) if (!keys.includes(key)) delete original[key];
}

function deleteFromPrimitives(original: Obj, key: string, values: unknown): void {
  const list = original[key];
  if (!Array.isArray(list) || !Array.isArray(values)) return;
  original[key] = list.filter((item) => !values.some((value) => same(value, item)));
}

/** An order given for a list that the patch does not otherwise touch. */
function orderOnly(original: Obj, patch: Obj, schema: Schema | undefined): void {
  for (const [directive, order] of Object.entries(patch)) {
    if (!directive.startsWith(ORDER) || !Array.isArray(order)) continue;
    const key = directive.slice(ORDER.length);
    const list = original[key];
    if (key in patch || !Array.isArray(list)) continue;
    original[key] = ordered(list, order, identityOf(fieldSchema(schema, key)));
  }
}

type Identity = (item: unknown) => unknown;

function identityOf(schema: Schema | undefined): Identity {
  const mergeKey = schema?.['x-kubernetes-patch-merge-key'];
  return (item) => (mergeKey && isObject(item) ? item[mergeKey] : item);
}

function mergeList(
  original: unknown[],
  patch: unknown[],
  schema: Schema,
  order: unknown[] | undefined,
): unknown[] {
  const identity = identityOf(schema);
  if (patch.some((item) => isObject(item) && item.$patch === 'replace')) {
    return patch
      .filter((item) => !(isObject(item) && '$patch' in item))
      .map((item) => (isObject(item) ? withoutDirectives(item) : item));
  }
  const result = [...original];
  const items: unknown[] = [];
  for (const item of patch) {
    const index = result.findIndex((one) => same(identity(one), identity(item)));
    if (isObject(item) && item.$patch === 'delete') {
      if (index >= 0) result.splice(index, 1);
      continue;
    }
    items.push(item);
    if (index < 0) result.push(isObject(item) ? mergeMap({}, item, schema.items) : item);
    else if (isObject(item)) result[index] = mergeMap(result[index] as Obj, item, schema.items);
  }
  return order ? ordered(result, order, identity) : mixed(result, items, original, identity);
}

/** Items named by the order in that order; others keep their place relative to their old neighbours. */
function ordered(list: unknown[], order: unknown[], identity: Identity): unknown[] {
  const orderIds = order.map(identity);
  const positionOf = (item: unknown) => orderIds.findIndex((id) => same(id, identity(item)));
  const named = list.filter((item) => positionOf(item) >= 0).sort((a, b) => positionOf(a) - positionOf(b));
  const others = list.filter((item) => positionOf(item) < 0);
  return interleave(others, named, list, identity);
}

/** Without an order: items of the patch in its order, before server-only items unless the server had them later. */
function mixed(list: unknown[], patched: unknown[], serverOrder: unknown[], identity: Identity): unknown[] {
  const patchIds = patched.map(identity);
  const positionOf = (item: unknown) => patchIds.findIndex((id) => same(id, identity(item)));
  const fromPatch = list
    .filter((item) => positionOf(item) >= 0)
    .sort((a, b) => positionOf(a) - positionOf(b));
  const serverOnly = list.filter((item) => positionOf(item) < 0);
  return interleave(serverOnly, fromPatch, serverOrder, identity);
}

function interleave(
  left: unknown[],
  right: unknown[],
  serverOrder: unknown[],
  identity: Identity,
): unknown[] {
  const ids = serverOrder.map(identity);
  const positionOf = (item: unknown) => ids.findIndex((id) => same(id, identity(item)));
  const result: unknown[] = [];
  let i = 0;
  let j = 0;
  while (i < left.length && j < right.length) {
    const [l, r] = [positionOf(left[i]), positionOf(right[j])];
    // New items come first: they have no place on the server.
    if (l >= 0 && r >= 0 && l < r) result.push(left[i++]);
    else result.push(right[j++]);
  }
  return [...result, ...left.slice(i), ...right.slice(j)];
}

function withoutDirectives(patch: Obj): Obj {
  return Object.fromEntries(Object.entries(patch).filter(([key]) => !key.startsWith('$')));
}
