import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { MANAGER_PORT, PGBACKREST_PORT } from '@pgherd/api';
import { type KubeObject, type LabelSelector, matchesSelector } from '@pgherd/kube';
import { parseAllDocuments } from 'yaml';
import { installManifests } from '../../install.ts';
import { bareFacts, testCluster } from '../../testing/facts.ts';
import { instancePod } from './pod.ts';
import { repositoryDeployment } from './repository.ts';

interface Egress {
  to?: { podSelector: LabelSelector }[];
  ports: { port: number }[];
}

interface Policy {
  spec: {
    podSelector: { matchLabels: Record<string, string> };
    ingress: { ports: { port: number }[] }[];
  };
}

const EXAMPLE = join(import.meta.dirname, '../../../../../examples/network-policies.yaml');
const [instances, backup] = parseAllDocuments(readFileSync(EXAMPLE, 'utf8')).map(
  (document) => document.toJS() as Policy,
) as [Policy, Policy];
const facts = bareFacts(
  testCluster({ backup: { repositories: [{ name: 'local', volume: { size: '1Gi' } }] } }),
);
const deployment = repositoryDeployment(facts, new Map([['local', 1]]));
const pod = instancePod(facts, { serial: 1 });

const selects = ({ spec }: Policy, labels: Record<string, string> = {}) =>
  Object.entries(spec.podSelector.matchLabels).every(([key, value]) => labels[key] === value);
const opened = ({ spec }: Policy) =>
  [...new Set(spec.ingress.flatMap(({ ports }) => ports.map(({ port }) => port)))].sort((a, b) => a - b);
const listening = (containers: { ports?: { containerPort: number }[] }[] = []) =>
  containers.flatMap(({ ports = [] }) => ports.map(({ containerPort }) => containerPort));

test('the example of network policies selects just the pods that it means', () => {
  const { metadata } = deployment.spec.template;
  assert.deepEqual(
    [selects(instances, pod.metadata.labels), selects(backup, pod.metadata.labels)],
    [true, false],
  );
  assert.deepEqual([selects(instances, metadata?.labels), selects(backup, metadata?.labels)], [false, true]);
});

test('the policy of the operator lets it ask all whom it asks', () => {
  const policy = installManifests({
    image: 'i',
    replicas: 1,
    namespace: 'n',
    networkPolicy: { apiServerPorts: [1] },
  })
    .map((object) => object as KubeObject & { spec?: { egress?: Egress[] } })
    .find(({ kind }) => kind === 'NetworkPolicy');
  const lets = (labels: Record<string, string> | undefined) =>
    policy?.spec?.egress?.some(
      ({ to = [], ports }) =>
        ports.some(({ port }) => port === MANAGER_PORT) &&
        to.some(({ podSelector }) => matchesSelector(labels, podSelector)),
    );
  assert.ok(lets(pod.metadata.labels), 'an instance');
  assert.ok(lets(deployment.spec.template.metadata?.labels), 'the repository pod');
  assert.ok(!lets({ app: 'another' }));
});

test('and opens the ports on which they listen', () => {
  const expected = [...new Set([...listening(pod.spec.containers), PGBACKREST_PORT])].sort((a, b) => a - b);
  assert.deepEqual(opened(instances), expected);
  const own = listening(deployment.spec.template.spec?.containers);
  assert.deepEqual(
    opened(backup),
    own.sort((a, b) => a - b),
  );
});
