/** The CRD is one a real API server accepts, and the generated files are those the schemas give. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Environment } from '@marcbachmann/cel-js';
import { parse } from 'yaml';
import { customResourceDefinitions } from './crd.ts';
import { generatedFiles } from './generated-files.ts';
import { isTransition, ruleEnvironment } from './rules.ts';
import type { StructuralSchema } from './structural.ts';
import { everySchema, rulesOf } from './testing.ts';

const ROOT = join(import.meta.dirname, '../../..');
const definitions = customResourceDefinitions();
const schemaOf = (crd: (typeof definitions)[number]) => crd.spec.versions[0]!.schema.openAPIV3Schema;
/** Every schema of every kind; paths within one kind are unique, so the kind goes in front. */
const all = definitions.flatMap((crd) =>
  everySchema(schemaOf(crd)).map((placed) => ({ ...placed, kind: crd.spec.names.kind })),
);

for (const { path, content } of generatedFiles()) {
  test(`${path} is up to date`, () => {
    assert.equal(readFileSync(join(ROOT, path), 'utf8'), content, `${path} is stale: run npm run generate`);
  });
}

test('the CRDs survive YAML', () => {
  const files = generatedFiles().filter(({ path }) => path.startsWith('deploy/crds/'));
  assert.deepEqual(
    files.map(({ content }) => parse(content)),
    JSON.parse(JSON.stringify(definitions)),
  );
});

test('every field has a type, or is an amount', () => {
  const untyped = all.filter(({ schema: own }) => !own.type && !own['x-kubernetes-int-or-string']);
  assert.deepEqual(
    untyped.map(({ path }) => path),
    [],
  );
});

test('every field is described', () => {
  const bare = all.filter(
    ({ path, schema: own }) => path !== 'metadata' && (own.description ?? '').length < 6,
  );
  assert.deepEqual(
    bare.map(({ path }) => path),
    [],
  );
});

test('no keyword that a structural schema refuses', () => {
  const text = JSON.stringify(definitions);
  for (const keyword of [
    'const',
    'patternProperties',
    '$ref',
    '$id',
    'definitions',
    '~kind',
    'uniqueItems',
    'oneOf',
  ]) {
    assert.ok(!text.includes(`"${keyword}":`), keyword);
  }
  for (const { path, schema: own } of all) {
    assert.ok(!own.anyOf || own['x-kubernetes-int-or-string'], path);
    assert.ok(!(own.properties && own.additionalProperties), path);
  }
});

test('only instances has a default that the API server writes', () => {
  const defaulted = all.filter(({ schema: own }) => own.default !== undefined);
  assert.deepEqual(
    defaulted.map(({ kind, path }) => `${kind} ${path}`),
    ['Cluster spec.instances'],
  );
});

test('messages are what an API server takes: one line, not long', () => {
  for (const { rule, message } of all.flatMap(rulesOf)) {
    assert.ok(message.length <= 2048 && !/[\r\n]/.test(message), rule);
  }
});

test('a fieldPath leads to a field', () => {
  for (const placed of all) {
    for (const { fieldPath } of rulesOf(placed)) {
      const steps = fieldPath?.split('.').slice(1) ?? [];
      const end = steps.reduce<StructuralSchema | undefined>(
        (at, step) => at?.properties?.[step],
        placed.schema,
      );
      assert.ok(end, `${placed.path} ${fieldPath}`);
    }
  }
});

test('rules about changes stand where an object keeps its identity', () => {
  const lost = all.filter((placed) => placed.inList && rulesOf(placed).some(isTransition));
  assert.deepEqual(lost, []);
});

test('a list or map is bounded wherever a rule walks through it or stands within it', () => {
  const bounded = ({ schema: own }: (typeof all)[number]) =>
    own.items ? own.maxItems !== undefined : !own.additionalProperties || own.maxProperties !== undefined;
  for (const placed of all.filter((candidate) => !bounded(candidate))) {
    const within = all.filter(
      ({ kind, path }) =>
        kind === placed.kind &&
        (path === placed.path || path.startsWith(`${placed.path}[]`) || path.startsWith(`${placed.path}.*`)),
    );
    assert.deepEqual(within.flatMap(rulesOf), [], placed.path);
  }
});

test('text that a rule looks at has a maxLength', () => {
  for (const placed of all.filter(({ schema: own }) => own.type === 'string')) {
    if (rulesOf(placed).length > 0) assert.ok(placed.schema.maxLength, placed.path);
  }
});

/** The type of `own` as CEL sees it; objects become their fields. */
function celType(own: StructuralSchema): unknown {
  if (own['x-kubernetes-int-or-string']) return 'dyn';
  if (own.items) return 'list<dyn>';
  if (own.additionalProperties)
    return own.additionalProperties.type === 'string' ? 'map<string, string>' : 'map<string, dyn>';
  if (own.properties) {
    return Object.fromEntries(Object.entries(own.properties).map(([name, field]) => [name, celType(field)]));
  }
  if (own.type === 'object') return { name: 'string' };
  return { string: 'string', integer: 'int', number: 'double', boolean: 'bool' }[own.type!];
}

test('every rule is of type bool for the types of its fields', () => {
  for (const placed of all) {
    const rules = rulesOf(placed);
    if (rules.length === 0) continue;
    const type = celType(placed.schema);
    const environment = ruleEnvironment(new Environment());
    if (typeof type === 'string') environment.registerVariable('self', type);
    else environment.registerVariable({ name: 'self', schema: type as Record<string, string> });
    for (const { rule } of rules) {
      // Kubernetes compares whole objects; this library's typed ones have no such operator.
      if (rule === 'self == oldSelf') continue;
      // oldSelf is of the same type as self.
      const result = environment.check(rule.replaceAll('oldSelf', 'self'));
      assert.ok(
        result.valid && result.type === 'bool',
        `${placed.path}: ${rule}: ${result.error?.message ?? result.type}`,
      );
    }
  }
});
