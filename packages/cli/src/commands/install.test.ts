import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Command } from 'commander';
import { parseAllDocuments } from 'yaml';
import { addInstall, documents, installOptions } from './install.ts';

/** The options that a command line means. */
function read(...args: string[]) {
  const program = new Command('pgherd').exitOverride().configureOutput({ writeErr: () => {} });
  addInstall(program);
  const generate = program.commands[0]!.commands[0]!;
  let given: Parameters<typeof installOptions>[0] | undefined;
  generate.exitOverride().action((options) => {
    given = options;
  });
  generate.configureOutput({ writeErr: () => {} });
  program.parse(['node', 'pgherd', 'install', 'generate', ...args]);
  return installOptions(given!);
}

test('without options: two operators for all namespaces, kept through drains', () => {
  const { namespace, replicas, watchNamespaces, podDisruptionBudget, userRoles, networkPolicy, withoutCrds } =
    read();
  assert.deepEqual(
    { namespace, replicas, watchNamespaces, podDisruptionBudget, userRoles, networkPolicy, withoutCrds },
    {
      namespace: 'pgherd-system',
      replicas: 2,
      watchNamespaces: undefined,
      podDisruptionBudget: true,
      userRoles: true,
      networkPolicy: undefined,
      withoutCrds: false,
    },
  );
});

test('namespaces, ports and secrets may be given several times', () => {
  const options = read(
    ...['--watch-namespace', 'a', '--watch-namespace', 'b'],
    ...['--network-policy', '--api-server-port', '16443', '--api-server-port', '443'],
    ...[
      '--image-pull-secret',
      'one',
      '--cluster-domain',
      'k8s.test',
      '--pod-monitor',
      '--scrape-interval',
      '5s',
      '--no-crds',
    ],
  );
  assert.deepEqual(options.watchNamespaces, ['a', 'b']);
  assert.deepEqual(options.networkPolicy, { apiServerPorts: [16443, 443] });
  assert.deepEqual(options.imagePullSecrets, ['one']);
  assert.equal(options.clusterDomain, 'k8s.test');
  assert.deepEqual(options.podMonitor, { interval: '5s' });
  assert.equal(options.withoutCrds, true);
});

test('what cannot be a port is refused', () => {
  assert.throws(() => read('--api-server-port', '70000'), { code: 'commander.invalidArgument' });
});

test('the printed documents are the objects', () => {
  const objects = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a' } },
    { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'b', annotations: { x: 'yes', y: '1' } } },
  ];
  assert.deepEqual(
    parseAllDocuments(documents(objects)).map((document) => document.toJS()),
    objects,
  );
});
