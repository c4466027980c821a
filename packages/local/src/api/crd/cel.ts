/** The CEL rules of a schema (`x-kubernetes-validations`), with `self` and `oldSelf`. */
import { Environment, type ParseResult } from '@marcbachmann/cel-js';
import { compareQuantities, parseQuantity } from '../quantity.ts';
import type { FieldError } from '../status.ts';
import { show } from '../status.ts';
import { isObject, type Obj, type Schema, same, type ValidationRule } from '../types.ts';

class Quantity {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

let environment: Environment | undefined;

function env(): Environment {
  environment ??= addLibraries(
    new Environment({ enableOptionalTypes: true, homogeneousAggregateLiterals: false })
      .registerVariable('self', 'dyn')
      .registerVariable('oldSelf', 'dyn'),
  );
  return environment;
}

function comparison(a: unknown, b: unknown): number {
  if (a === b) return 0;
  return (a as number) < (b as number) ? -1 : 1;
}

/** Functions that Kubernetes adds to CEL: quantities, lists, regular expressions, strings. */
function addLibraries(target: Environment): Environment {
  target.registerType('Quantity', { ctor: Quantity, fields: { text: 'string' } });
  target.registerFunction('isQuantity(string): bool', (text: string) => parseQuantity(text) !== undefined);
  target.registerFunction('quantity(string): Quantity', (text: string) => {
    if (parseQuantity(text) === undefined) throw new Error('quantities must match the regular expression');
    return new Quantity(text);
  });
  const compare = (a: Quantity, b: Quantity) => compareQuantities(a.text, b.text) as number;
  target.registerFunction('Quantity.compareTo(Quantity): int', (a: Quantity, b: Quantity) =>
    BigInt(compare(a, b)),
  );
  target.registerFunction(
    'Quantity.isGreaterThan(Quantity): bool',
    (a: Quantity, b: Quantity) => compare(a, b) > 0,
  );
  target.registerFunction(
    'Quantity.isLessThan(Quantity): bool',
    (a: Quantity, b: Quantity) => compare(a, b) < 0,
  );
  target.registerFunction('Quantity.sign(): int', (a: Quantity) => {
    const value = parseQuantity(a.text) as bigint;
    return value < 0n ? -1n : value > 0n ? 1n : 0n;
  });
  target.registerFunction(
    'Quantity.asInteger(): int',
    (a: Quantity) => (parseQuantity(a.text) as bigint) / 1_000_000_000n,
  );
  target.registerFunction(
    'Quantity.isInteger(): bool',
    (a: Quantity) => (parseQuantity(a.text) as bigint) % 1_000_000_000n === 0n,
  );
  target.registerFunction('list<dyn>.isSorted(): bool', (list: unknown[]) =>
    list.every((item, index) => index === 0 || comparison(list[index - 1], item) <= 0),
  );
  target.registerFunction('list<dyn>.sum(): dyn', (list: bigint[]) =>
    list.reduce((sum, item) => sum + item, typeof list[0] === 'number' ? (0 as unknown as bigint) : 0n),
  );
  target.registerFunction('list<dyn>.min(): dyn', (list: unknown[]) =>
    list.reduce((best, item) => (comparison(item, best) < 0 ? item : best)),
  );
  target.registerFunction('list<dyn>.max(): dyn', (list: unknown[]) =>
    list.reduce((best, item) => (comparison(item, best) > 0 ? item : best)),
  );
  target.registerFunction('list<dyn>.indexOf(dyn): int', (list: unknown[], item: unknown) =>
    BigInt(list.indexOf(item)),
  );
  target.registerFunction('list<dyn>.lastIndexOf(dyn): int', (list: unknown[], item: unknown) =>
    BigInt(list.lastIndexOf(item)),
  );
  target.registerFunction(
    'string.find(string): string',
    (text: string, pattern: string) => new RegExp(pattern, 'u').exec(text)?.[0] ?? '',
  );
  target.registerFunction('string.findAll(string): list<string>', (text: string, pattern: string) =>
    [...text.matchAll(new RegExp(pattern, 'gu'))].map((match) => match[0]),
  );
  target.registerFunction(
    'string.replace(string, string): string',
    (text: string, from: string, to: string) => text.replaceAll(from, to),
  );
  target.registerFunction('string.charAt(int): string', (text: string, index: bigint) =>
    text.charAt(Number(index)),
  );
  target.registerFunction('isURL(string): bool', (text: string) => URL.canParse(text));
  return target;
}

const programs = new Map<string, ParseResult>();

function program(expression: string): ParseResult {
  let parsed = programs.get(expression);
  if (!parsed) {
    parsed = env().parse(expression);
    programs.set(expression, parsed);
  }
  return parsed;
}

/** Why an expression cannot be compiled; undefined when it can. */
export function compileProblem(expression: string): string | undefined {
  try {
    program(expression);
    return undefined;
  } catch (error) {
    return (error as Error).message.split('\n')[0];
  }
}

const schemasWithRules = new WeakMap<Schema, boolean>();

/** Whether a schema or anything in it has rules, so that whole branches are skipped. */
function hasRules(schema: Schema): boolean {
  let known = schemasWithRules.get(schema);
  if (known === undefined) {
    known =
      (schema['x-kubernetes-validations']?.length ?? 0) > 0 ||
      Object.values(schema.properties ?? {}).some(hasRules) ||
      (schema.items !== undefined && hasRules(schema.items)) ||
      (isObject(schema.additionalProperties) && hasRules(schema.additionalProperties as Schema));
    schemasWithRules.set(schema, known);
  }
  return known;
}

/** Converts JSON to what CEL expects: integers by the schema are BigInt, times and durations have their types. */
export function toCel(value: unknown, schema: Schema): unknown {
  if (typeof value === 'number') {
    const isInteger = schema.type === 'integer' || (schema.type !== 'number' && Number.isInteger(value));
    return isInteger && Number.isInteger(value) ? BigInt(value) : value;
  }
  if (Array.isArray(value)) return value.map((item) => toCel(item, schema.items ?? {}));
  if (!isObject(value)) return value;
  const additional = isObject(schema.additionalProperties) ? (schema.additionalProperties as Schema) : {};
  const result: Obj = {};
  for (const [key, item] of Object.entries(value)) {
    if (item === undefined) continue;
    result[escapeName(key, schema)] = toCel(item, schema.properties?.[key] ?? additional);
  }
  return result;
}

const RESERVED = new Set([
  'true',
  'false',
  'null',
  'in',
  'as',
  'break',
  'const',
  'continue',
  'else',
  'for',
  'function',
  'if',
  'import',
  'let',
  'loop',
  'package',
  'namespace',
  'return',
  'var',
  'void',
  'while',
]);

function escapeName(name: string, schema: Schema): string {
  // Keys of maps stay as they are; names of declared fields are escaped where CEL cannot say them.
  if (!schema.properties || !(name in schema.properties)) return name;
  if (RESERVED.has(name)) return `__${name}__`;
  return name
    .replaceAll('__', '__underscores__')
    .replaceAll('.', '__dot__')
    .replaceAll('-', '__dash__')
    .replaceAll('/', '__slash__');
}

/** Runs the rules over a value and everything in it. `old` is the value before an update, or undefined. */
export function celErrors(value: unknown, old: unknown, schema: Schema, path = ''): FieldError[] {
  if (!hasRules(schema) || value === undefined || value === null) return [];
  const errors: FieldError[] = [];
  const rules = schema['x-kubernetes-validations'] ?? [];
  if (rules.length) {
    const self = toCel(value, schema);
    const oldSelf = old === undefined || old === null ? undefined : toCel(old, schema);
    // A rule that was broken before on the very same value is tolerated (ratcheting).
    const unchanged = old !== undefined && old !== null && same(value, old);
    for (const rule of unchanged ? rules.filter(isTransition) : rules) {
      const error = runRule(rule, self, oldSelf, value, path);
      if (error) errors.push(error);
    }
  }
  errors.push(...childErrors(value, old, schema, path));
  return errors;
}

function childErrors(value: unknown, old: unknown, schema: Schema, path: string): FieldError[] {
  if (Array.isArray(value)) {
    const items = schema.items;
    if (!items) return [];
    return value.flatMap((item, index) =>
      celErrors(item, counterpart(item, old, schema), items, `${path}[${index}]`),
    );
  }
  if (!isObject(value)) return [];
  const before = isObject(old) ? old : undefined;
  const additional = isObject(schema.additionalProperties)
    ? (schema.additionalProperties as Schema)
    : undefined;
  return Object.entries(value).flatMap(([key, item]) => {
    const property = schema.properties?.[key];
    if (property) return celErrors(item, before?.[key], property, path ? `${path}.${key}` : key);
    return additional ? celErrors(item, before?.[key], additional, `${path}[${key}]`) : [];
  });
}

/** The item of the old list that an item of a `map` list continues; items of other lists have no past. */
function counterpart(item: unknown, old: unknown, schema: Schema): unknown {
  const keys = schema['x-kubernetes-list-map-keys'];
  if (!keys || !Array.isArray(old) || !isObject(item)) return undefined;
  return old.find((one) => isObject(one) && keys.every((key) => same(one[key], item[key])));
}

/** Whether a rule compares with the past. */
function isTransition(rule: ValidationRule): boolean {
  return /\boldSelf\b/.test(rule.rule);
}

function runRule(
  rule: ValidationRule,
  self: unknown,
  oldSelf: unknown,
  value: unknown,
  path: string,
): FieldError | undefined {
  // A rule about the past says nothing at creation.
  if (isTransition(rule) && oldSelf === undefined && !rule.optionalOldSelf) return undefined;
  const field = rule.fieldPath ? path + rule.fieldPath : path;
  const context = { self, oldSelf: rule.optionalOldSelf ? optional(oldSelf) : oldSelf };
  try {
    if (program(rule.rule)(context) === true) return undefined;
    return violation(rule, field, value, messageOf(rule, context));
  } catch (error) {
    const why = (error as Error).message.split('\n')[0];
    return violation(
      rule,
      field,
      value,
      `${rule.message ?? `failed rule: ${rule.rule}`} (evaluation failed: ${why})`,
    );
  }
}

function optional(value: unknown): unknown {
  return value === undefined
    ? program('optional.none()')({})
    : env().evaluate('optional.of(self)', { self: value });
}

function messageOf(rule: ValidationRule, context: Obj): string {
  if (rule.messageExpression) {
    try {
      const text = program(rule.messageExpression)(context);
      if (typeof text === 'string' && text.trim()) return text.trim();
    } catch {
      // Kubernetes falls back to the plain message when the expression fails.
    }
  }
  return rule.message ?? `failed rule: ${rule.rule}`;
}

function violation(rule: ValidationRule, field: string, value: unknown, message: string): FieldError {
  switch (rule.reason) {
    case 'FieldValueForbidden':
      return { type: 'FieldValueForbidden', field, message: `Forbidden: ${message}` };
    case 'FieldValueRequired':
      return { type: 'FieldValueRequired', field, message: `Required value: ${message}` };
    case 'FieldValueDuplicate':
      return { type: 'FieldValueDuplicate', field, message: `Duplicate value: ${show(value)}: ${message}` };
    default:
      return {
        type: 'FieldValueInvalid',
        field,
        message: `Invalid value: ${isObject(value) ? '"object"' : Array.isArray(value) ? '"array"' : show(value)}: ${message}`,
      };
  }
}
