/** Bad Operations by table: each is refused with its field. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { isFinished, OPERATION_DEFINITION, type Operation, validateObject } from '../index.ts';
import { brokenRules } from '../rules.ts';
import { structural } from '../structural.ts';
import { everySchema, rulesOf } from '../testing.ts';

const operation = (spec: object): Operation => ({
  apiVersion: 'pgherd.io/v1',
  kind: 'Operation',
  metadata: { name: 'one', namespace: 'default' },
  spec: { cluster: 'demo', ...spec } as Operation['spec'],
});

const accepted = [
  { type: 'Switchover' },
  { type: 'Switchover', switchover: {} },
  { type: 'Switchover', switchover: { target: 'demo-2', force: true, acceptLoss: true } },
  { type: 'Restart', restart: { instance: 'demo-1' }, deadlineSeconds: 60 },
  { type: 'Reload' },
  { type: 'Destroy', destroy: { instance: 'demo-3', keepVolumes: true }, ttlSecondsAfterFinished: 0 },
];

for (const spec of accepted)
  test(`accepted: ${JSON.stringify(spec)}`, () =>
    assert.deepEqual(validateObject(OPERATION_DEFINITION, operation(spec)), []));

const refused: { spec: object; old?: object; field: string; says: RegExp }[] = [
  { spec: {}, field: 'spec.type', says: /missing/ },
  { spec: { type: 'Explode' }, field: 'spec.type', says: /write one of: Switchover, Restart/ },
  {
    spec: { type: 'Reload', restart: {} },
    field: 'spec.restart',
    says: /belongs to type Restart: remove it/,
  },
  { spec: { type: 'Destroy' }, field: 'spec', says: /destroy is missing/ },
  { spec: { type: 'Destroy', destroy: {} }, field: 'spec.destroy.instance', says: /missing/ },
  { spec: { type: 'Clone' }, field: 'spec', says: /clone is missing/ },
  {
    spec: { type: 'Switchover', switchover: { acceptLoss: true } },
    field: 'spec',
    says: /target is missing/,
  },
  {
    spec: { type: 'Switchover', switchover: { to: 'demo-2' } },
    field: 'spec.switchover.to',
    says: /no field/,
  },
  { spec: { type: 'Reload', deadlineSeconds: 0 }, field: 'spec.deadlineSeconds', says: /at least 1/ },
  { spec: { type: 'Reload', cluster: '' }, field: 'spec.cluster', says: /./ },
  { spec: { type: 'Reload' }, old: { type: 'Restart' }, field: 'spec', says: /cannot be changed/ },
];

for (const { spec, old, field, says } of refused)
  test(`refused: ${JSON.stringify(spec)}`, () => {
    const problems = validateObject(OPERATION_DEFINITION, operation(spec), old && operation(old));
    const found = problems.find((problem) => problem.field === field);
    assert.ok(found, JSON.stringify(problems));
    assert.match(`${found.message} ${found.hint ?? ''}`, says);
  });

test('every rule of a member is broken by its stranger', () => {
  const schema = structural(OPERATION_DEFINITION.schema);
  const member = everySchema(schema)
    .flatMap(rulesOf)
    .filter(({ message }) => message.includes('belongs to type'));
  const types = ['Switchover', 'Restart', 'Reload', 'Destroy', 'Restore', 'Clone', 'VerifyBackup'];
  assert.equal(member.length, types.length);
  for (const { fieldPath, rule } of member) {
    const name = fieldPath!.slice(1);
    const type = types.find(
      (word) => word.toLowerCase() !== name.toLowerCase() && word !== 'Destroy' && word !== 'Clone',
    );
    const broken = brokenRules(schema, operation({ type, [name]: {} }), undefined);
    assert.ok(
      broken.some((each) => each.rule.rule === rule),
      name,
    );
  }
});

test('the example is accepted', () => {
  const example = join(import.meta.dirname, '../../../../examples/switchover.yaml');
  assert.deepEqual(validateObject(OPERATION_DEFINITION, parse(readFileSync(example, 'utf8'))), []);
});

test('an Operation ends as Succeeded or Failed', () => {
  assert.equal(isFinished({}), false);
  assert.equal(isFinished({ status: { phase: 'Running' } }), false);
  assert.equal(isFinished({ status: { phase: 'Failed' } }), true);
});
