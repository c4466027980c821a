/**
 * Sets of fields: who owns what. A path is a list of steps (`f:name`, `k:{"name":"x"}`, `v:"x"`) in one string;
 * FieldsV1, the form in managedFields, is the same as a tree.
 */
import { deref } from './schema/builtin.ts';
import { isObject, type Obj, type Schema, same } from './types.ts';

const SEPARATOR = '\u0001';

/** Paths of an object's leaves with their values. A keyed list item is a member too, with {@link ITEM} as its value. */
export type Leaves = Map<string, unknown>;

/** Stands for "this item exists". */
export const ITEM = Symbol('item');

const SYSTEM = new Set(['apiVersion', 'kind']);
const META_SYSTEM = new Set([
  'name',
  'namespace',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'managedFields',
  'selfLink',
  'generateName',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
]);

export function join(path: string, step: string): string {
  return path ? path + SEPARATOR + step : step;
}

export function stepsOf(path: string): string[] {
  return path.split(SEPARATOR);
}

/** Whether a path is another one or lies below it. */
export function isWithin(path: string, ancestor: string): boolean {
  return path === ancestor || path.startsWith(ancestor + SEPARATOR);
}

/** The schema of a field; undefined below the known. */
export function fieldOf(schema: Schema | undefined, key: string): Schema | undefined {
  const target = deref(schema);
  const property = target?.properties?.[key];
  if (property) return property;
  return isObject(target?.additionalProperties) ? (target.additionalProperties as Schema) : undefined;
}

/** How a list merges. Extensions may stand beside a `$ref`, so both are looked at. */
export function listKind(schema: Schema | undefined): 'map' | 'set' | 'atomic' {
  const kind = schema?.['x-kubernetes-list-type'] ?? deref(schema)?.['x-kubernetes-list-type'];
  return kind === 'map' || kind === 'set' ? kind : 'atomic';
}

function listKeys(schema: Schema | undefined): string[] {
  return schema?.['x-kubernetes-list-map-keys'] ?? deref(schema)?.['x-kubernetes-list-map-keys'] ?? [];
}

function isAtomicMap(schema: Schema | undefined): boolean {
  return (
    schema?.['x-kubernetes-map-type'] === 'atomic' || deref(schema)?.['x-kubernetes-map-type'] === 'atomic'
  );
}

/** Defaults of keys that Kubernetes' published description leaves out. */
const KEY_DEFAULTS: Record<string, string> = { protocol: 'TCP' };

/** The step of an item of a keyed list; missing keys take the schema's default. */
export function itemStep(item: unknown, schema: Schema | undefined): string {
  if (listKind(schema) === 'set' || !isObject(item)) return `v:${JSON.stringify(item)}`;
  const properties = deref(deref(schema)?.items)?.properties;
  const keys = listKeys(schema);
  const identity: Obj = {};
  for (const key of [...keys].sort()) {
    const value = item[key] ?? properties?.[key]?.default ?? KEY_DEFAULTS[key];
    if (value !== undefined) identity[key] = value;
  }
  return `k:${JSON.stringify(identity)}`;
}

/** All leaves of an object that managers can own. `part` limits it to status or to everything else. */
export function leavesOf(object: Obj, schema: Schema | undefined, part: 'all' | 'main' | 'status'): Leaves {
  const leaves: Leaves = new Map();
  for (const [key, value] of Object.entries(object)) {
    if (SYSTEM.has(key) || value === undefined) continue;
    if (part !== 'all' && (key === 'status') !== (part === 'status')) continue;
    if (key === 'metadata' && isObject(value)) {
      const meta = fieldOf(schema, 'metadata');
      for (const [name, one] of Object.entries(value)) {
        if (!META_SYSTEM.has(name) && one !== undefined)
          collect(one, metaSchema(meta, name), join('f:metadata', `f:${name}`), leaves);
      }
    } else collect(value, fieldOf(schema, key), `f:${key}`, leaves);
  }
  return leaves;
}

const OWNERS: Schema = {
  type: 'array',
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': ['uid'],
};
const FINALIZERS: Schema = { type: 'array', 'x-kubernetes-list-type': 'set' };

/** Metadata of custom resources has no schema of its own; its lists merge as everywhere. */
export function metaSchema(meta: Schema | undefined, name: string): Schema | undefined {
  return (
    fieldOf(meta, name) ??
    (name === 'ownerReferences' ? OWNERS : name === 'finalizers' ? FINALIZERS : undefined)
  );
}

function collect(value: unknown, schema: Schema | undefined, path: string, leaves: Leaves): void {
  if (isObject(value) && !isAtomicMap(schema) && Object.keys(value).length > 0) {
    for (const [key, one] of Object.entries(value))
      if (one !== undefined) collect(one, fieldOf(schema, key), join(path, `f:${key}`), leaves);
  } else if (Array.isArray(value) && listKind(schema) !== 'atomic' && value.length > 0) {
    for (const item of value) {
      const here = join(path, itemStep(item, schema));
      if (listKind(schema) === 'set') leaves.set(here, ITEM);
      else {
        leaves.set(here, ITEM);
        collect(item, deref(schema)?.items, here, leaves);
      }
    }
  } else leaves.set(path, value);
}

/** A set of paths as FieldsV1. */
export function toFieldsV1(paths: Iterable<string>): Obj {
  const root: Obj = {};
  const members = [...paths].map(stepsOf).sort((a, b) => a.length - b.length);
  for (const steps of members) {
    let node = root;
    for (const step of steps) {
      if (!isObject(node[step])) node[step] = {};
      node = node[step] as Obj;
    }
    node['.'] = {};
  }
  return tidy(root);
}

/** A member without children is `{}`, one with children has a `.` among them. */
function tidy(node: Obj): Obj {
  const result: Obj = {};
  for (const key of Object.keys(node).sort()) {
    if (key === '.') {
      if (Object.keys(node).length > 1) result['.'] = {};
    } else result[key] = tidy(node[key] as Obj);
  }
  return result;
}

/** FieldsV1 as a set of paths. */
export function fromFieldsV1(tree: Obj): Set<string> {
  const paths = new Set<string>();
  const walk = (node: Obj, path: string) => {
    const keys = Object.keys(node);
    if (path && (keys.length === 0 || '.' in node)) paths.add(path);
    for (const key of keys) if (key !== '.' && isObject(node[key])) walk(node[key] as Obj, join(path, key));
  };
  walk(tree, '');
  return paths;
}

/** A path as people read it: `.spec.containers[name="x"].image`. */
export function showPath(path: string): string {
  return stepsOf(path)
    .map((step) => {
      const rest = step.slice(2);
      if (step.startsWith('f:')) return `.${rest}`;
      if (step.startsWith('v:')) return `[=${rest}]`;
      return `[${Object.entries(JSON.parse(rest) as Obj)
        .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
        .join(',')}]`;
    })
    .join('');
}

/** Whether two leaf values are the same. */
export function sameLeaf(a: unknown, b: unknown): boolean {
  return a === b || same(a, b);
}
