import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Compile } from 'typebox/schema';
import { OPERATOR_IMAGE } from '../../packages/api/src/index.ts';
import type { KubeObject } from '../../packages/kube/src/index.ts';
import { type InstallOptions, installManifests } from '../../packages/operator/src/install.ts';
import { CHART, chartYaml, defaultValues, renderChart, type Values, valuesWith } from './chart.ts';
import { generatedFiles } from './generated-files.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const NAMESPACE = 'herd';
const [REPOSITORY, VERSION] = OPERATOR_IMAGE.split(':') as [string, string];

/** What the chart's default values mean, in the words of the operator's package. */
const DEFAULTS: InstallOptions = {
  image: OPERATOR_IMAGE,
  replicas: 2,
  namespace: NAMESPACE,
  imagePullPolicy: 'IfNotPresent',
  logLevel: 'info',
  podDisruptionBudget: true,
  userRoles: true,
};

const DIGEST = `sha256:${'ab'.repeat(32)}`;
const toleration = { key: 'dedicated', operator: 'Equal', value: 'db', effect: 'NoSchedule' };

const cases: { name: string; values: Values; options: Partial<InstallOptions> }[] = [
  { name: 'the defaults', values: {}, options: {} },
  {
    name: 'some namespaces',
    values: { watchNamespaces: ['a', NAMESPACE, 'b'] },
    options: { watchNamespaces: ['a', NAMESPACE, 'b'] },
  },
  {
    name: 'another image',
    values: {
      image: { repository: 'registry:5000/pgherd', tag: 'next', pullPolicy: 'Always' },
      imagePullSecrets: ['one', 'two'],
    },
    options: {
      image: 'registry:5000/pgherd:next',
      imagePullPolicy: 'Always',
      imagePullSecrets: ['one', 'two'],
    },
  },
  {
    name: 'an image by digest',
    values: { image: { digest: DIGEST } },
    options: { image: `${REPOSITORY}@${DIGEST}` },
  },
  {
    name: 'where and with how much it runs',
    values: {
      replicas: 3,
      logLevel: 'debug',
      // Helm merges maps: what the defaults have besides stays.
      resources: { requests: { cpu: '1' }, limits: { memory: '1Gi' } },
      nodeSelector: { 'kubernetes.io/os': 'linux' },
      tolerations: [toleration],
      priorityClassName: 'system-cluster-critical',
      podAnnotations: { 'example.org/a': 'true' },
      podLabels: { team: 'db', 'example.org/b': '1' },
      clusterDomain: 'k8s.example.org',
    },
    options: {
      replicas: 3,
      logLevel: 'debug',
      resources: { requests: { cpu: '1', memory: '128Mi' }, limits: { memory: '1Gi' } },
      nodeSelector: { 'kubernetes.io/os': 'linux' },
      tolerations: [toleration],
      priorityClassName: 'system-cluster-critical',
      podAnnotations: { 'example.org/a': 'true' },
      podLabels: { team: 'db', 'example.org/b': '1' },
      clusterDomain: 'k8s.example.org',
    },
  },
  {
    name: 'with policies and monitors',
    values: {
      networkPolicy: { enabled: true, apiServerPorts: [16443] },
      podMonitor: { enabled: true, interval: '10s', labels: { release: 'prometheus' } },
    },
    options: {
      networkPolicy: { apiServerPorts: [16443] },
      podMonitor: { interval: '10s', labels: { release: 'prometheus' } },
    },
  },
  {
    name: 'with monitors of some namespaces, without budget, roles of users and definitions',
    values: {
      watchNamespaces: ['a'],
      podMonitor: { enabled: true },
      podDisruptionBudget: { enabled: false },
      userRoles: { enabled: false },
      crds: { install: false },
    },
    options: {
      watchNamespaces: ['a'],
      podMonitor: { interval: '30s' },
      podDisruptionBudget: false,
      userRoles: false,
      withoutCrds: true,
    },
  },
];

/** Objects by what they are, so that their order does not count. */
function byIdentity(objects: KubeObject[]): Record<string, KubeObject> {
  const entries = objects.map((object) => {
    const { namespace, name } = object.metadata;
    return [`${object.kind} ${namespace ?? ''}/${name}`, object] as const;
  });
  assert.equal(new Set(entries.map(([key]) => key)).size, entries.length, 'two objects of one name');
  return Object.fromEntries(entries);
}

/** Without what is Helm's own, and with the variables of a container in order of name: Kubernetes does not care. */
function comparable(object: KubeObject): KubeObject {
  const plain = JSON.parse(JSON.stringify(object)) as KubeObject & { spec?: { template?: PodTemplate } };
  const annotations = plain.metadata.annotations;
  if (annotations) delete annotations['helm.sh/resource-policy'];
  if (annotations && Object.keys(annotations).length === 0) delete plain.metadata.annotations;
  for (const { env } of plain.spec?.template?.spec?.containers ?? [])
    env?.sort((a, b) => (a.name < b.name ? -1 : 1));
  return plain;
}

interface PodTemplate {
  spec?: { containers: { env?: { name: string }[] }[] };
}

for (const { name, values, options } of cases)
  test(`chart and plain manifests are the same: ${name}`, () => {
    const chart = renderChart(NAMESPACE, values).map(comparable);
    const plain = installManifests({ ...DEFAULTS, ...options })
      // Helm makes the namespace itself, with --create-namespace.
      .filter(({ kind }) => kind !== 'Namespace')
      .map(comparable);
    assert.deepEqual(byIdentity(chart), byIdentity(plain));
  });

for (const { path, content } of generatedFiles())
  test(`${path} is what npm run generate writes`, () => {
    assert.equal(readFileSync(join(ROOT, path), 'utf8'), content);
  });

test('uninstalling the chart keeps the definitions, and with them the clusters', () => {
  const definitions = renderChart(NAMESPACE).filter(({ kind }) => kind === 'CustomResourceDefinition');
  assert.ok(definitions.length > 0);
  for (const { metadata } of definitions)
    assert.equal(metadata.annotations?.['helm.sh/resource-policy'], 'keep');
});

test('chart, operator and package have one version', () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  assert.deepEqual([chartYaml().version, chartYaml().appVersion, VERSION], [version, version, version]);
  assert.equal((defaultValues().image as { repository: string }).repository, REPOSITORY);
});

function valuesSchema(): Schema {
  return JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as Schema;
}

test('the schema accepts the values of these tests and refuses what is misspelt or cannot be', () => {
  const schema = Compile(valuesSchema() as object);
  assert.ok(schema.Check(defaultValues()));
  for (const { name, values } of cases) assert.ok(schema.Check(valuesWith(values)), name);
  const wrong: Values[] = [
    { replica: 2 },
    { replicas: 0 },
    { watchNamespaces: 'a' },
    { image: { repository: 'x', digest: 'latest' } },
    { logLevel: 'loud' },
    { networkPolicy: { enabled: true, apiServerPorts: [] } },
    { podMonitor: { interval: 30 } },
    { podLabels: { 'app.kubernetes.io/name': 'mine' } },
    { clusterDomain: 'a b' },
  ];
  for (const values of wrong) assert.ok(!schema.Check(valuesWith(values)), JSON.stringify(values));
});

interface Schema {
  properties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
}

/** Paths of all values that have a default, and of all that the schema names. */
function paths(value: unknown, schema: Schema | undefined, at = ''): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !schema?.properties) return [at];
  return Object.entries(value).flatMap(([key, inner]) =>
    paths(inner, schema.properties?.[key], at ? `${at}.${key}` : key),
  );
}

test('schema and defaults know the same values', () => {
  const schema = valuesSchema();
  const named = (of: Schema, at = ''): string[] =>
    Object.entries(of.properties ?? {}).flatMap(([key, inner]) => {
      const path = at ? `${at}.${key}` : key;
      return inner.properties && inner.additionalProperties === false && path !== 'resources'
        ? named(inner, path)
        : [path];
    });
  const inSchema = named(schema).filter((path) => path !== 'global');
  const resourceless = { ...schema, properties: { ...schema.properties, resources: {} } };
  assert.deepEqual(paths(defaultValues(), resourceless).sort(), inSchema.sort());
});
