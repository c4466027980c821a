/** Pruning and defaulting of custom resources by their structural schema. */
import { clone, isObject, type Obj, type Schema } from '../types.ts';

const TYPE_META: Schema = {
  type: 'object',
  properties: {
    apiVersion: { type: 'string' },
    kind: { type: 'string' },
    metadata: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  },
};

/**
 * Removes from `value`, in place, every field that the schema does not know; returns their paths.
 * Metadata of the root (and of embedded resources) is not touched.
 */
export function prune(value: unknown, schema: Schema, path = '', isRoot = true): string[] {
  if (Array.isArray(value)) {
    return schema.items
      ? value.flatMap((item, index) => prune(item, schema.items as Schema, `${path}[${index}]`, false))
      : [];
  }
  if (!isObject(value)) return [];
  const embedded = isRoot || schema['x-kubernetes-embedded-resource'] === true;
  const removed: string[] = [];
  for (const key of Object.keys(value)) {
    const childPath = path ? `${path}.${key}` : key;
    const property = propertyOf(schema, key, embedded);
    if (property) removed.push(...prune(value[key], property, childPath, false));
    else if (!schema['x-kubernetes-preserve-unknown-fields']) {
      delete value[key];
      removed.push(childPath);
    }
  }
  return removed;
}

function propertyOf(schema: Schema, key: string, embedded: boolean): Schema | undefined {
  if (embedded && key in (TYPE_META.properties as Obj)) return TYPE_META.properties?.[key];
  const declared = schema.properties?.[key];
  if (declared) return declared;
  const additional = schema.additionalProperties;
  if (isObject(additional)) return additional as Schema;
  return additional === true ? { 'x-kubernetes-preserve-unknown-fields': true } : undefined;
}

/** Fills in defaults, in place. An explicit null on a field that is not nullable is dropped, or defaulted. */
export function applySchemaDefaults(value: unknown, schema: Schema): void {
  if (Array.isArray(value)) {
    if (schema.items) for (const item of value) applySchemaDefaults(item, schema.items);
    return;
  }
  if (!isObject(value)) return;
  for (const [key, property] of Object.entries(schema.properties ?? {})) defaultField(value, key, property);
  if (!isObject(schema.additionalProperties)) return;
  const additional = schema.additionalProperties as Schema;
  for (const key of Object.keys(value))
    if (!(key in (schema.properties ?? {}))) applySchemaDefaults(value[key], additional);
}

function defaultField(value: Obj, key: string, property: Schema): void {
  if (value[key] === null && property.nullable !== true) delete value[key];
  if (value[key] === undefined && property.default !== undefined) value[key] = clone(property.default);
  if (value[key] !== undefined) applySchemaDefaults(value[key], property);
}
