/**
 * The few typebox shapes that a Kubernetes structural schema can also say.
 *
 * Every schema of this package is built from these, so that one source gives the TypeScript type, the CRD and
 * the validation. Keywords a CRD refuses (`const`, free `anyOf`, `patternProperties`) never come in here.
 */
import { type Static, type TObject, type TProperties, type TSchema, type TUnsafe, Type } from 'typebox';

/**
 * One rule of `x-kubernetes-validations`: evaluated by the API server, and by `validateCluster`.
 *
 * An API server refuses a rule whose worst case could cost too much. So rules loop only over lists and maps with a
 * bound, call string functions only on text with a maxLength, and never on what `self[key]` gives: its length is
 * not known beforehand.
 */
export interface Rule {
  /** A CEL expression over `self` (and `oldSelf`) that must be true. */
  rule: string;
  /** Said when it is not: what is wrong and what to do. */
  message: string;
  /** Which field is to blame, relative to where the rule stands, for example `.size`. */
  fieldPath?: string;
  reason?: 'FieldValueInvalid' | 'FieldValueForbidden' | 'FieldValueRequired' | 'FieldValueDuplicate';
}

/** Options of a shape: rules under a short name, the rest as JSON schema spells it. */
export interface ShapeOptions {
  rules?: Rule[];
  [keyword: string]: unknown;
}

function keywords(description: string, options: ShapeOptions = {}): Record<string, unknown> {
  const { rules, ...rest } = options;
  return { description, ...rest, ...(rules ? { 'x-kubernetes-validations': rules } : {}) };
}

/** An object whose fields are all known: anything else in it is refused. */
export function object<P extends TProperties>(
  description: string,
  properties: P,
  options?: ShapeOptions,
): TObject<P> {
  return Type.Object(properties, { additionalProperties: false, ...keywords(description, options) });
}

/** An object with free keys and values of one shape. */
export function map<V extends TSchema>(
  description: string,
  value: V,
  options?: ShapeOptions,
): TUnsafe<Record<string, Static<V>>> {
  return Type.Unsafe({ type: 'object', additionalProperties: value, ...keywords(description, options) });
}

export function list<V extends TSchema>(description: string, item: V, options?: ShapeOptions) {
  return Type.Array(item, keywords(description, options));
}

export function text(description: string, options?: ShapeOptions) {
  return Type.String(keywords(description, options));
}

export function integer(description: string, options?: ShapeOptions) {
  return Type.Integer(keywords(description, options));
}

export function number(description: string, options?: ShapeOptions) {
  return Type.Number(keywords(description, options));
}

export function bool(description: string, options?: ShapeOptions) {
  return Type.Boolean(keywords(description, options));
}

/** One of a few words. */
export function oneOf<const W extends string[]>(
  description: string,
  words: readonly [...W],
): TUnsafe<W[number]> {
  return Type.Unsafe({ type: 'string', enum: [...words], ...keywords(description) });
}

/**
 * A word out of a union that the CRD leaves open: status is written by an operator that may be newer than the
 * CRD installed, and a refused status would leave the cluster without any.
 */
export function openWord<W extends string>(description: string): TUnsafe<W> {
  return Type.Unsafe({ type: 'string', ...keywords(description) });
}

const QUANTITY_PATTERN =
  '^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$';

/** A Kubernetes quantity as resources spell it: a whole number, or text such as `500m` or `2Gi`. */
export function intOrQuantity(description: string): TUnsafe<number | string> {
  return Type.Unsafe({
    anyOf: [{ type: 'integer' }, { type: 'string' }],
    pattern: QUANTITY_PATTERN,
    'x-kubernetes-int-or-string': true,
    ...keywords(description),
  });
}

/** What a text must look like, with a message of our own instead of a regular expression's. */
export function matching(pattern: string, message: string): Rule {
  return { rule: `self.matches('${pattern.replaceAll('\\', '\\\\')}')`, message };
}

/** An amount of bytes such as `10Gi`, with a message of our own instead of a regular expression's. */
export function bytes(description: string, example: string, rules: Rule[] = []) {
  return text(description, {
    maxLength: 64,
    rules: [
      {
        rule: "isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))",
        message: `must be an amount of bytes above zero such as ${example}: a number followed by Ki, Mi, Gi, Ti, k, M, G or T`,
      },
      ...rules,
    ],
  });
}

/** A time in whole seconds. */
export function seconds(description: string, minimum: number, maximum: number) {
  return integer(description, { minimum, maximum, format: 'int32' });
}

export const optional = Type.Optional;

/** The same shape without its rules about changes: for a place where nothing can be changed at all. */
export function frozen<S extends TSchema>(schema: S): S {
  const strip = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(strip);
    if (typeof value !== 'object' || value === null) return value;
    // typebox keeps its own marks in properties that are not enumerable.
    const copy = Object.create(
      Object.getPrototypeOf(value),
      Object.getOwnPropertyDescriptors(value),
    ) as Record<string, unknown>;
    for (const [key, field] of Object.entries(value)) copy[key] = strip(field);
    const rules = copy['x-kubernetes-validations'] as Rule[] | undefined;
    if (rules) copy['x-kubernetes-validations'] = rules.filter(({ rule }) => !/\boldSelf\b/.test(rule));
    return copy;
  };
  return strip(schema) as S;
}
