/** Evaluates the CEL rules of a schema, as the API server does, so that a manifest can be checked without one. */
import { Environment } from '@marcbachmann/cel-js';
import { ApiError } from './errors.ts';
import { compareQuantities, parseQuantity, tryParseQuantity } from './quantity.ts';
import type { Rule } from './schema.ts';
import type { StructuralSchema } from './structural.ts';

/** Kubernetes' `quantity`, as the rules see it. */
class Quantity {
  readonly text: string;
  constructor(text: string) {
    parseQuantity(text);
    this.text = text;
  }
}

/** Adds what Kubernetes' CEL has beyond the language, as far as our rules use it. */
export function ruleEnvironment(environment: Environment): Environment {
  return environment
    .registerType('Quantity', Quantity)
    .registerFunction('isQuantity(string): bool', (text: string) => tryParseQuantity(text) !== undefined)
    .registerFunction('quantity(string): Quantity', (text: string) => new Quantity(text))
    .registerFunction('Quantity.compareTo(Quantity): int', (a: Quantity, b: Quantity) =>
      BigInt(compareQuantities(a.text, b.text)),
    )
    .registerFunction(
      'Quantity.isGreaterThan(Quantity): bool',
      (a: Quantity, b: Quantity) => compareQuantities(a.text, b.text) > 0,
    );
}

const environment = ruleEnvironment(new Environment({ unlistedVariablesAreDyn: true }));

type Evaluate = (context: Record<string, unknown>) => unknown;
const parsed = new Map<string, Evaluate>();

function evaluate(expression: string, context: Record<string, unknown>): unknown {
  let evaluateParsed = parsed.get(expression);
  if (!evaluateParsed) {
    evaluateParsed = environment.parse(expression) as Evaluate;
    parsed.set(expression, evaluateParsed);
  }
  return evaluateParsed(context);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** JSON has one kind of number, CEL two: whole numbers become bigint where the schema says integer. */
function toCel(schema: StructuralSchema | undefined, value: unknown): unknown {
  if (typeof value === 'number' && schema?.type === 'integer') return BigInt(value);
  if (Array.isArray(value)) return value.map((item) => toCel(schema?.items, item));
  if (!isObject(value)) return value;
  const fields = Object.entries(value).filter(([, field]) => field !== undefined && field !== null);
  return Object.fromEntries(fields.map(([name, field]) => [name, toCel(childSchema(schema, name), field)]));
}

function childSchema(schema: StructuralSchema | undefined, name: string): StructuralSchema | undefined {
  return schema?.properties?.[name] ?? schema?.additionalProperties;
}

export interface BrokenRule {
  /** Path of the field to blame, for example spec.storage.size. */
  field: string;
  /** Where in the schema the rule stands: the path with `[]` for items. */
  place: string;
  rule: Rule;
  message: string;
}

/** True when `rule` compares with the object's previous state. */
export function isTransition(rule: Rule): boolean {
  return /\boldSelf\b/.test(rule.rule);
}

/**
 * Whether `self` obeys `rule`. Throws ApiError BadSchema when the rule itself cannot be evaluated: a mistake of
 * ours, never the user's.
 */
function obeys(rule: Rule, context: Record<string, unknown>): boolean {
  try {
    return evaluate(rule.rule, context) === true;
  } catch (cause) {
    throw new ApiError(
      'BadSchema',
      `evaluating the rule '${rule.rule}': ${cause instanceof Error ? cause.message : String(cause)}`,
      'this is a mistake in pgherd: please report it',
      { cause },
    );
  }
}

/** Every rule in `schema` that `value` breaks; rules about changes are looked at only where there is an `old` value. */
export function brokenRules(schema: StructuralSchema, value: unknown, old: unknown, path = ''): BrokenRule[] {
  const broken: BrokenRule[] = [];
  for (const rule of schema['x-kubernetes-validations'] ?? []) {
    if (isTransition(rule) && old === undefined) continue;
    const context = { self: toCel(schema, value), oldSelf: toCel(schema, old) };
    if (obeys(rule, context)) continue;
    const place = path.replace(/\[\d+\]/g, '[]');
    broken.push({ field: join(path, rule.fieldPath), place, rule, message: rule.message });
  }
  if (Array.isArray(value)) {
    const items = schema.items ?? {};
    const earlier = (item: unknown) => sameItem(schema['x-kubernetes-list-map-keys'], item, old);
    broken.push(
      ...value.flatMap((item, index) => brokenRules(items, item, earlier(item), `${path}[${index}]`)),
    );
  } else if (isObject(value)) {
    for (const [name, field] of Object.entries(value)) {
      const child = childSchema(schema, name);
      const previous = isObject(old) ? old[name] : undefined;
      if (child && field !== undefined && field !== null) {
        broken.push(...brokenRules(child, field, previous, join(path, `.${name}`)));
      }
    }
  }
  return broken;
}

/** The item of the old list with the same keys; items of plain lists have no identity, so no old value either. */
function sameItem(keys: string[] | undefined, item: unknown, old: unknown): unknown {
  if (!keys || !isObject(item) || !Array.isArray(old)) return undefined;
  return old.find((other) => isObject(other) && keys.every((key) => other[key] === item[key]));
}

function join(path: string, tail = ''): string {
  return path === '' ? tail.replace(/^\./, '') : path + tail;
}
