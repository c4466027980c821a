import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KINDS } from '@pgherd/api';
import type { ClusterRole, Deployment, PolicyRule } from '@pgherd/kube';
import { instanceRules } from './cluster/specs/rbac.ts';
import { operatorManifests, operatorRules } from './manifests.ts';
import { bareFacts, testCluster } from './testing/facts.ts';

const options = { image: 'pgherd:test', replicas: 2, namespace: 'herd' };

test('the manifests come in the order in which they can be applied', () => {
  assert.deepEqual(
    operatorManifests(options).map(({ kind }) => kind),
    [
      'Namespace',
      ...KINDS.map(() => 'CustomResourceDefinition'),
      'ServiceAccount',
      'ClusterRole',
      'ClusterRoleBinding',
      'Deployment',
    ],
  );
});

test('watching some namespaces gives rights in these alone', () => {
  const manifests = operatorManifests({ ...options, watchNamespaces: ['a', 'b'] });
  assert.ok(!manifests.some(({ kind }) => kind === 'ClusterRoleBinding'));
  const places = manifests
    .filter(({ kind }) => kind === 'RoleBinding')
    .map(({ metadata }) => metadata.namespace);
  assert.deepEqual(places, ['herd', 'a', 'b']);
});

test('the operator tells its image on to the pods it makes', () => {
  const deployment = operatorManifests(options).at(-1) as Deployment;
  const [container] = deployment.spec.template.spec.containers;
  assert.equal(container?.image, 'pgherd:test');
  assert.deepEqual(
    container?.env?.find(({ name }) => name === 'OPERATOR_IMAGE'),
    { name: 'OPERATOR_IMAGE', value: 'pgherd:test' },
  );
  assert.equal(deployment.spec.replicas, 2);
});

test('no rule has a star', () => {
  const role = operatorManifests(options).find(({ kind }) => kind === 'ClusterRole') as ClusterRole;
  assert.ok(!JSON.stringify(role.rules).includes('*'));
});

/** Every (group, resource, verb) of some rules. */
function rights(rules: PolicyRule[]): Set<string> {
  const found = new Set<string>();
  for (const { apiGroups = [], resources = [], verbs } of rules)
    for (const group of apiGroups)
      for (const resource of resources) for (const verb of verbs) found.add(`${group}/${resource} ${verb}`);
  return found;
}

test('the operator holds each right that it gives to instances', () => {
  const sql = { secretRefs: [{ name: 's', key: 'k' }], configMapRefs: [{ name: 'c', key: 'k' }] };
  const facts = bareFacts(
    testCluster({
      enableSuperuserAccess: true,
      bootstrap: { initdb: { database: 'app', postInitSQLRefs: sql } },
    }),
  );
  const held = rights(operatorRules());
  const given = [...rights(instanceRules(facts))];
  assert.ok(given.length > 10);
  assert.deepEqual(
    given.filter((right) => !held.has(right)),
    [],
  );
});
