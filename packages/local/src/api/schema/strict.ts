/** Built-in kinds by their schema: unknown fields, wrong types, and values in their canonical form. */
import { badRequest } from '../status.ts';
import { isObject, type KubeObject, type Obj, type Resource, type Schema } from '../types.ts';
import { builtinSchema, deref, refName } from './builtin.ts';

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1.';
const TIME = `${META}Time`;
const MICRO_TIME = `${META}MicroTime`;
const QUANTITY = 'io.k8s.apimachinery.pkg.api.resource.Quantity';

/** Fields whose null is shown, as Go's encoder does for times in values. */
const NULL_KEPT = new Set(['creationTimestamp', 'lastProbeTime', 'lastHeartbeatTime', 'eventTime']);

class WrongType extends Error {}

/**
 * Brings an object into canonical form, in place: nulls go, quantities become strings, times lose fractions.
 * Removes fields that the kind does not have and returns their paths. Throws 400 on a value of the wrong type.
 */
export function unknownFields(object: KubeObject, resource: Resource): string[] {
  const schema = builtinSchema(resource.group, resource.version, resource.kind);
  if (!schema) return [];
  const unknown: string[] = [];
  try {
    walkObject(object, schema, '', unknown);
  } catch (error) {
    if (!(error instanceof WrongType)) throw error;
    throw badRequest(
      `${resource.kind} in version ${JSON.stringify(resource.version)} cannot be handled as a ${resource.kind}: ${error.message}`,
    );
  }
  return unknown;
}

function walkObject(value: Obj, schema: Schema, path: string, unknown: string[]): void {
  for (const key of Object.keys(value)) {
    const childPath = path ? `${path}.${key}` : key;
    if (value[key] === null || value[key] === undefined) {
      if (!NULL_KEPT.has(key)) delete value[key];
      continue;
    }
    const property =
      schema.properties?.[key] ??
      (isObject(schema.additionalProperties) ? (schema.additionalProperties as Schema) : undefined);
    if (property) value[key] = walk(value[key], property, childPath, unknown);
    else if (schema.properties) {
      delete value[key];
      unknown.push(childPath);
    }
  }
}

function walk(value: unknown, schema: Schema, path: string, unknown: string[]): unknown {
  const name = refName(schema);
  const target = deref(schema);
  if (!target) return value;
  if (name === QUANTITY) return quantity(value, path);
  if (name === TIME || name === MICRO_TIME) return time(value, name, path);
  switch (target.type) {
    case 'object':
      if (!isObject(value)) throw wrong(value, 'object', path);
      walkObject(value, target, path, unknown);
      return value;
    case 'array':
      if (!Array.isArray(value)) throw wrong(value, 'array', path);
      return value.map((item, index) => walk(item, target.items ?? {}, `${path}[${index}]`, unknown));
    case 'string':
      if (typeof value === 'string' || (target.format === 'int-or-string' && Number.isInteger(value)))
        return value;
      throw wrong(value, 'string', path);
    case 'integer':
      if (Number.isInteger(value)) return value;
      throw wrong(value, target.format ?? 'int64', path);
    case 'number':
      if (typeof value === 'number') return value;
      throw wrong(value, 'float64', path);
    case 'boolean':
      if (typeof value === 'boolean') return value;
      throw wrong(value, 'bool', path);
    default:
      return value;
  }
}

function quantity(value: unknown, path: string): string {
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return value;
  throw wrong(value, 'resource.Quantity', path);
}

const ANY_TIME = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;
const SIX_DIGITS = /\.\d{6}([Zz]|[+-]\d\d:\d\d)$/;

function time(value: unknown, name: string, path: string): string {
  if (typeof value !== 'string') throw wrong(value, name === TIME ? 'v1.Time' : 'v1.MicroTime', path);
  const isMicro = name === MICRO_TIME;
  if (!ANY_TIME.test(value) || Number.isNaN(Date.parse(value)) || (isMicro && !SIX_DIGITS.test(value))) {
    const layout = isMicro ? '2006-01-02T15:04:05.000000Z07:00' : '2006-01-02T15:04:05Z07:00';
    throw new WrongType(
      `parsing time ${JSON.stringify(value)} as ${JSON.stringify(layout)}: cannot parse it (field ${path})`,
    );
  }
  if (isMicro) return value;
  return value.endsWith('Z') && value.length === 20
    ? value
    : `${new Date(value).toISOString().slice(0, 19)}Z`;
}

function wrong(value: unknown, wanted: string, path: string): WrongType {
  const actual = Array.isArray(value)
    ? 'array'
    : isObject(value)
      ? 'object'
      : typeof value === 'boolean'
        ? 'bool'
        : typeof value;
  return new WrongType(`json: cannot unmarshal ${actual} into Go struct field ${path} of type ${wanted}`);
}
