/** Checks a custom resource against its OpenAPI schema, in the words of a Kubernetes API server. */
import { type FieldError, invalidValue, requiredValue, show, unsupportedValue } from '../status.ts';
import { isObject, type Obj, type Schema, same } from '../types.ts';
import { formatProblem } from './formats.ts';

const patterns = new Map<string, RegExp>();

function regexOf(pattern: string): RegExp {
  let regex = patterns.get(pattern);
  if (!regex) {
    regex = new RegExp(pattern, 'u');
    patterns.set(pattern, regex);
  }
  return regex;
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value === 'object' ? 'object' : typeof value;
}

/** All violations of a schema, besides CEL rules. `path` is the field's path, empty at the root. */
export function validate(value: unknown, schema: Schema, path = ''): FieldError[] {
  if (value === null && schema.nullable) return [];
  const wrongType = typeError(value, schema, path);
  if (wrongType) return [wrongType];
  const errors: FieldError[] = [];
  if (schema.enum && !schema.enum.some((one) => same(one, value)))
    errors.push(unsupportedValue(path, value, schema.enum));
  if (typeof value === 'string') errors.push(...stringErrors(value, schema, path));
  else if (typeof value === 'number') errors.push(...numberErrors(value, schema, path));
  else if (Array.isArray(value)) errors.push(...arrayErrors(value, schema, path));
  else if (isObject(value)) errors.push(...objectErrors(value, schema, path));
  errors.push(...logicErrors(value, schema, path));
  return errors;
}

function typeError(value: unknown, schema: Schema, path: string): FieldError | undefined {
  const actual = typeOf(value);
  if (schema['x-kubernetes-int-or-string']) {
    if (actual === 'integer' || actual === 'string') return undefined;
    return typeInvalid(path, value, 'integer,string', actual);
  }
  const wanted = schema.type;
  if (!wanted || wanted === actual || (wanted === 'number' && actual === 'integer')) return undefined;
  return typeInvalid(path, value, wanted, actual);
}

function typeInvalid(path: string, value: unknown, wanted: string, actual: string): FieldError {
  return {
    type: 'FieldValueTypeInvalid',
    field: path,
    message: `Invalid value: ${show(actual === 'number' || actual === 'integer' ? value : actual)}: ${path || 'value'} in body must be of type ${wanted}: ${show(actual)}`,
  };
}

function stringErrors(value: string, schema: Schema, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const length = [...value].length;
  if (schema.maxLength !== undefined && length > schema.maxLength) {
    errors.push({
      type: 'FieldValueTooLong',
      field: path,
      message: `Too long: may not be more than ${schema.maxLength} bytes`,
    });
  }
  if (schema.minLength !== undefined && length < schema.minLength) {
    errors.push(
      invalidValue(path, value, `${path} in body should be at least ${schema.minLength} chars long`),
    );
  }
  if (schema.pattern && !regexOf(schema.pattern).test(value)) {
    errors.push(invalidValue(path, value, `${path} in body should match '${schema.pattern}'`));
  }
  const problem = schema.format ? formatProblem(schema.format, value) : undefined;
  if (problem)
    errors.push(
      invalidValue(path, value, `${path} in body must be of type ${schema.format}: ${show(value)}`),
    );
  return errors;
}

function numberErrors(value: number, schema: Schema, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { minimum, maximum, multipleOf } = schema;
  if (minimum !== undefined && (schema.exclusiveMinimum ? value <= minimum : value < minimum)) {
    errors.push(
      invalidValue(
        path,
        value,
        `${path} in body should be greater than ${schema.exclusiveMinimum ? '' : 'or equal to '}${minimum}`,
      ),
    );
  }
  if (maximum !== undefined && (schema.exclusiveMaximum ? value >= maximum : value > maximum)) {
    errors.push(
      invalidValue(
        path,
        value,
        `${path} in body should be less than ${schema.exclusiveMaximum ? '' : 'or equal to '}${maximum}`,
      ),
    );
  }
  if (multipleOf !== undefined && !Number.isInteger(value / multipleOf)) {
    errors.push(invalidValue(path, value, `${path} in body should be a multiple of ${multipleOf}`));
  }
  if (schema.format === 'int32' && (value > 2147483647 || value < -2147483648)) {
    errors.push(invalidValue(path, value, `${path} in body must be of type int32: ${show(value)}`));
  }
  return errors;
}

function arrayErrors(value: unknown[], schema: Schema, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (schema.maxItems !== undefined && value.length > schema.maxItems) {
    errors.push({
      type: 'FieldValueTooMany',
      field: path,
      message: `Too many: ${value.length}: must have at most ${schema.maxItems} items`,
    });
  }
  if (schema.minItems !== undefined && value.length < schema.minItems) {
    errors.push(
      invalidValue(path, value.length, `${path} in body should have at least ${schema.minItems} items`),
    );
  }
  errors.push(...duplicates(value, schema, path));
  if (schema.items)
    for (const [index, item] of value.entries())
      errors.push(...validate(item, schema.items, `${path}[${index}]`));
  return errors;
}

function duplicates(value: unknown[], schema: Schema, path: string): FieldError[] {
  const listType = schema['x-kubernetes-list-type'];
  if (listType !== 'map' && listType !== 'set' && !schema.uniqueItems) return [];
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  const seen = new Set<string>();
  const errors: FieldError[] = [];
  for (const [index, item] of value.entries()) {
    const identity =
      listType === 'map' && isObject(item)
        ? keys.map((key) => [key, item[key] ?? defaultOf(schema, key)])
        : item;
    const text = JSON.stringify(identity);
    if (seen.has(text)) {
      const shown = listType === 'map' ? Object.fromEntries(identity as [string, unknown][]) : item;
      errors.push({
        type: 'FieldValueDuplicate',
        field: `${path}[${index}]`,
        message: `Duplicate value: ${show(shown)}`,
      });
    }
    seen.add(text);
  }
  return errors;
}

function defaultOf(schema: Schema, key: string): unknown {
  return schema.items?.properties?.[key]?.default;
}

function objectErrors(value: Obj, schema: Schema, path: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const name of schema.required ?? []) {
    if (value[name] === undefined) errors.push(requiredValue(path ? `${path}.${name}` : name));
  }
  const count = Object.keys(value).length;
  if (schema.maxProperties !== undefined && count > schema.maxProperties) {
    errors.push({
      type: 'FieldValueTooMany',
      field: path,
      message: `Too many: ${count}: must have at most ${schema.maxProperties} items`,
    });
  }
  if (schema.minProperties !== undefined && count < schema.minProperties) {
    errors.push(
      invalidValue(path, count, `${path} in body should have at least ${schema.minProperties} properties`),
    );
  }
  for (const [key, item] of Object.entries(value)) {
    const declared = schema.properties?.[key];
    const additional = isObject(schema.additionalProperties)
      ? (schema.additionalProperties as Schema)
      : undefined;
    const property = declared ?? additional;
    if (property && item !== undefined)
      errors.push(...validate(item, property, childPath(path, key, declared !== undefined)));
  }
  return errors;
}

function childPath(path: string, key: string, declared: boolean): string {
  // Keys of maps may hold dots; Kubernetes writes them in brackets only in CEL, plainly here.
  if (!path) return key;
  return declared || !key.includes('.') ? `${path}.${key}` : `${path}[${key}]`;
}

function logicErrors(value: unknown, schema: Schema, path: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const part of schema.allOf ?? []) errors.push(...validate(value, part, path));
  if (
    schema.anyOf &&
    !schema['x-kubernetes-int-or-string'] &&
    !schema.anyOf.some((part) => validate(value, part, path).length === 0)
  ) {
    errors.push(invalidValue(path, value, `${path} in body must validate at least one schema (anyOf)`));
  }
  if (schema.oneOf && schema.oneOf.filter((part) => validate(value, part, path).length === 0).length !== 1) {
    errors.push(invalidValue(path, value, `${path} in body must validate one and only one schema (oneOf)`));
  }
  if (schema.not && validate(value, schema.not, path).length === 0) {
    errors.push(invalidValue(path, value, `${path} in body must not validate the schema (not)`));
  }
  return errors;
}
