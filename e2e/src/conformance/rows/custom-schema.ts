import assert from 'node:assert/strict';
import { type Json, refuses, rows, sees } from '../table.ts';
import { widget } from '../widgets.ts';

interface Refusal {
  what: string;
  spec: Json;
  field: string;
  message: RegExp;
  /** Of the cause; empty where versions of Kubernetes differ. */
  reason?: string;
}

/** Values that the schema refuses: each is 422 with its field in the causes. */
const REFUSALS: Refusal[] = [
  {
    what: 'a number below its minimum',
    spec: { size: 0 },
    field: 'spec.size',
    message: /should be greater than or equal to 1/,
  },
  {
    what: 'a number above its maximum',
    spec: { size: 101 },
    field: 'spec.size',
    message: /should be less than or equal to 100/,
  },
  {
    what: 'a missing field',
    spec: { size: undefined },
    field: 'spec.size',
    message: /Required value/,
    reason: 'FieldValueRequired',
  },
  {
    what: 'a value outside an enumeration',
    spec: { colour: 'green' },
    field: 'spec.colour',
    message: /Unsupported value: "green": supported values: "red", "blue"/,
    reason: 'FieldValueNotSupported',
  },
  {
    what: 'a text that misses its pattern',
    spec: { code: 'A1' },
    field: 'spec.code',
    message: /should match '\^\[a-z\]\+\$'/,
  },
  {
    what: 'a text that is too long',
    spec: { code: 'abcdef' },
    field: 'spec.code',
    message: /may not be (longer|more) than 5/,
    reason: 'FieldValueTooLong',
  },
  {
    what: 'a text where a number belongs',
    spec: { size: 'big' },
    field: 'spec.size',
    message: /must be of type integer: "string"/,
    reason: 'FieldValueTypeInvalid',
  },
  {
    what: 'a fraction where an integer belongs',
    spec: { size: 1.5 },
    field: 'spec.size',
    message: /must be of type integer: "number"/,
    reason: 'FieldValueTypeInvalid',
  },
  {
    what: 'a boolean for int-or-string',
    spec: { amount: true },
    field: 'spec.amount',
    message: /integer|string|at least one schema/,
    reason: '',
  },
  {
    what: 'too many items',
    spec: { parts: ['a', 'b', 'c', 'd'].map((name) => ({ name })) },
    field: 'spec.parts',
    message: /must have at most 3 items/,
    reason: 'FieldValueTooMany',
  },
  {
    what: 'two items of one key',
    spec: { parts: [{ name: 'a' }, { name: 'a' }] },
    field: 'spec.parts[1]',
    message: /Duplicate value/,
    reason: 'FieldValueDuplicate',
  },
  {
    what: 'a set that holds a value twice',
    spec: { words: ['a', 'a'] },
    field: 'spec.words[1]',
    message: /Duplicate value/,
    reason: 'FieldValueDuplicate',
  },
  {
    what: 'a value of a map of another type',
    spec: { settings: { a: 1 } },
    field: 'spec.settings.a',
    message: /must be of type string: "integer"/,
    reason: 'FieldValueTypeInvalid',
  },
  {
    what: 'a rule that does not hold',
    spec: { low: 5, high: 2 },
    field: 'spec.low',
    message: /low is above high/,
  },
];

const refusals = Object.fromEntries(
  REFUSALS.map(({ what, spec, field, message, reason = 'FieldValueInvalid' }) => [
    `${what} is 422 and named`,
    async (api: Parameters<Parameters<typeof rows>[1][string]>[0]) => {
      const answer = await api.ask('POST', api.path('widgets'), widget(api.group, api.name, spec));
      refuses(answer, 422, 'Invalid', /^Widget\..* is invalid: /, {
        group: api.group,
        kind: 'Widget',
        name: api.name,
      });
      const { causes } = answer.body.details as {
        causes: { field: string; reason: string; message: string }[];
      };
      const found = causes.find((cause) => cause.field === field && message.test(cause.message));
      assert.ok(found, `no cause for ${field}: ${JSON.stringify(causes)}`);
      if (reason) assert.equal(found.reason, reason);
    },
  ]),
);

/** What a schema and its CEL rules refuse. */
export const customSchema = rows('schema', {
  ...refusals,
  'several mistakes come in one answer': async (api) => {
    const answer = await api.ask(
      'POST',
      api.path('widgets'),
      widget(api.group, api.name, { size: 0, colour: 'green' }),
    );
    const { causes } = refuses(answer, 422, 'Invalid').body.details as { causes: { field: string }[] };
    assert.deepEqual(
      causes
        .map(({ field }) => field)
        .filter((field) => field.startsWith('spec'))
        .sort(),
      ['spec.colour', 'spec.size'],
    );
  },
  'a transition rule sees the old value': async (api) => {
    await api.made('widgets', widget(api.group, api.name, { frozen: 'a' }));
    const path = api.path('widgets', api.name);
    const answer = await api.patch('merge', path, { spec: { frozen: 'b' } });
    refuses(answer, 422, 'Invalid', /frozen cannot be changed/, { causes: [{ field: 'spec.frozen' }] });
    const without = await api.patch('merge', path, { spec: { frozen: null } });
    refuses(without, 422, 'Invalid', /frozen cannot be taken away/, { causes: [{ field: 'spec' }] });
    sees(await api.patch('merge', path, { spec: { size: 2 } }), 200);
  },
  'a transition rule does not run on creation': async (api) => {
    await api.made('widgets', widget(api.group, api.name, { frozen: 'a' }));
  },
  'validation holds for every kind of patch': async (api) => {
    await api.made('widgets', widget(api.group, api.name));
    const path = api.path('widgets', api.name);
    const replace = [{ op: 'replace', path: '/spec/size', value: 0 }];
    refuses(await api.patch('json', path, replace), 422, 'Invalid', /spec.size/);
    const applied = widget(api.group, api.name, { size: 0 });
    refuses(
      await api.patch('apply', `${path}?fieldManager=m&force=true`, applied),
      422,
      'Invalid',
      /spec.size/,
    );
  },
  '/status is validated too': async (api) => {
    await api.made('widgets', widget(api.group, api.name));
    const path = `${api.path('widgets', api.name)}/status`;
    refuses(
      await api.patch('merge', path, { status: { replicas: 'many' } }),
      422,
      'Invalid',
      /status.replicas/,
    );
  },
  '/scale is validated too': async (api) => {
    await api.made('widgets', widget(api.group, api.name));
    const path = `${api.path('widgets', api.name)}/scale`;
    const answer = await api.patch('merge', path, { spec: { replicas: -1 } });
    refuses(answer, 422, 'Invalid', /replicas/);
  },
  'a dry run is validated': async (api) => {
    const path = `${api.path('widgets')}?dryRun=All`;
    refuses(await api.ask('POST', path, widget(api.group, api.name, { size: 0 })), 422, 'Invalid');
  },
});
