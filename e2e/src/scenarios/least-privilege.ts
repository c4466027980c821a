import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { API_VERSION, LABEL_CLUSTER, names, OPERATOR_NAMESPACE } from '@pgherd/api';
import { ClusterKind, waitFor } from '@pgherd/cli';
import { kinds, type PolicyRule } from '@pgherd/kube';
import type { AccessEntry } from '@pgherd/local/api/access-record';
import { operatorRules } from '@pgherd/operator';
import { readSecret } from '../certificates.ts';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';

const EVENTS = 'an event that comes again is counted in the one that is there';
const OPERATOR = `system:serviceaccount:${OPERATOR_NAMESPACE}:pgherd-operator`;

/** Rights of the operator that no request shows, each with the reason why it is needed. */
const UNSEEN: [right: RegExp, why: string][] = [
  [
    /^update \S+ \w+\/finalizers$/,
    'asked by the plugin OwnerReferencesPermissionEnforcement, where it is on',
  ],
  [/^patch {2}events$/, EVENTS],
  [/^delete \S+ clusters$/, 'a clone that fails is taken away'],
  [/^delete \S+ backups$/, 'a schedule forgets those of its Backups that failed long ago'],
];

export const leastPrivilege: Scenario = {
  name: 'least-privilege',
  title: 'operator and instances are refused nothing, and use each right that they have',
  needs: 'local',
  because: 'the API server of another cluster does not tell what was asked of it',
  async run(stage) {
    await createSql(stage);
    await stage.createCluster({
      instances: 2,
      postgresql: {},
      enableSuperuserAccess: true,
      bootstrap: { initdb: { postInitApplicationSQLRefs: { configMapRefs: [{ name: 'sql', key: 'sql' }] } } },
      backup: { repositories: [{ name: 'main', volume: { size: '1Gi' } }] },
    });
    await handOver(stage);
    const { items } = await accessRecord(stage);
    const given = await judgeInstances(stage, items);
    await changeEverything(stage);
    await judgeOperator(stage, given);
  },
};

/** A ConfigMap that the instance has to read. */
async function createSql(stage: Stage): Promise<void> {
  const made = await stage.kubectl(['create', 'configmap', 'sql', '--from-literal=sql=SELECT 1']);
  assert.equal(made.code, 0, made.stderr);
}

function accessRecord(stage: Stage): Promise<{ items: AccessEntry[] }> {
  return stage.client.json<{ items: AccessEntry[] }>({ path: '/debug/access' });
}

/** By an Operation, which then goes by itself. */
async function handOver(stage: Stage): Promise<void> {
  const primary = await stage.primary();
  const operation = {
    apiVersion: API_VERSION,
    kind: 'Operation',
    metadata: { name: 'hand-over', labels: { [LABEL_CLUSTER]: stage.cluster } },
    spec: { cluster: stage.cluster, type: 'Switchover', ttlSecondsAfterFinished: 1 },
  };
  const created = await stage.kubectl(['create', '-f', '-'], { input: JSON.stringify(operation) });
  assert.equal(created.code, 0, created.stderr);
  await stage.newPrimary(primary);
  await gone(stage, 'operation/hand-over');
  await stage.ready();
}

async function gone(stage: Stage, object: string): Promise<void> {
  const { code, stderr } = await stage.kubectl(['wait', '--for=delete', object, '--timeout=60s'], {
    timeoutMs: 70_000,
  });
  assert.equal(code, 0, stderr);
}

/** What a user changes in a year: labels, sizes, logins, the number of instances. */
async function changeEverything(stage: Stage): Promise<void> {
  const own = names(stage.cluster);
  const patch = async (spec: object) => {
    const ref = { namespace: stage.namespace, name: stage.cluster };
    await stage.client.patch(ClusterKind, ref, { type: 'merge', body: { spec } });
  };
  await patch({
    inheritedMetadata: { labels: { team: 'blue' } },
    storage: { size: '2Gi' },
    enableSuperuserAccess: false,
    certificates: { serverAltDNSNames: ['db.example.com'] },
  });
  await gone(stage, `secret/${own.superuser}`);
  await waitFor(
    async () => {
      const { 'tls.crt': cert = '' } = await readSecret(stage, own.server);
      return new X509Certificate(cert).checkHost('db.example.com') !== undefined;
    },
    { timeoutMs: 60_000, describe: () => 'the certificate of the servers has not got its further name' },
  );
  const binding = await stage.kubectl(
    ['wait', `rolebinding/${own.role}`, '--for=jsonpath={.metadata.labels.team}=blue', '--timeout=60s'],
    { timeoutMs: 70_000 },
  );
  assert.equal(binding.code, 0, binding.stderr);
  await patch({ instances: 1, backup: null });
  await gone(stage, `deployment/${own.backup}`);
  await gone(stage, `pvc/${stage.cluster}-1`);
  await gone(stage, `pdb/${own.pdb}`);
  await stage.ready();
}

/** `given`: rights that the operator must have in order to give them to instances. */
async function judgeOperator(stage: Stage, given: string[]): Promise<void> {
  const { items } = await accessRecord(stage);
  const asked = items.filter(({ user }) => user === OPERATOR);
  const refused = asked.filter(({ allowed }) => !allowed).map(tell);
  assert.deepEqual(refused, [], 'the operator was refused something');
  const unused = missing(operatorRules(), asked, UNSEEN).filter((right) => !given.includes(right));
  // Some rights are used only by other scenarios, all of which have run before in a whole run.
  if (stage.complete) assert.deepEqual(unused, [], 'rights of the operator that nothing used');
  const rest = unused.length > 0 ? `; not used by the scenarios of this run: ${unused.join(', ')}` : '';
  stage.note(`${operatorRules().length} rules of the operator${rest}`);
}

/** Returns the rights of an instance, without names. */
async function judgeInstances(stage: Stage, items: AccessEntry[]): Promise<string[]> {
  const own = names(stage.cluster);
  const user = `system:serviceaccount:${stage.namespace}:${own.serviceAccount}`;
  const asked = items.filter((entry) => entry.user === user);
  assert.ok(asked.length > 0, `${user} has asked for nothing`);
  assert.deepEqual(
    asked.filter(({ allowed }) => !allowed).map(tell),
    [],
    'an instance was refused something',
  );
  const role = await stage.client.get(kinds.Role, { namespace: stage.namespace, name: own.role });
  const unused = missing(role.rules ?? [], asked, [[/^patch {2}events$/, EVENTS]]);
  assert.deepEqual(unused, [], 'rights of an instance that nothing used');
  return missing(
    (role.rules ?? []).map(({ resourceNames: _, ...rule }) => rule),
    [],
    [],
  );
}

function tell({ verb, group, resource, name, namespace }: AccessEntry): string {
  return `${verb} ${group ? `${resource}.${group}` : resource} ${namespace ?? ''}/${name ?? '*'}`;
}

/** Rights as `verb group resource`, or `verb group resource name`, that were given and never used. */
function missing(
  rules: PolicyRule[],
  asked: AccessEntry[],
  excepted: [right: RegExp, why: string][],
): string[] {
  const used = new Set(
    asked.flatMap(({ verb, group, resource, name }) => [
      [verb, group, resource].join(' '),
      [verb, group, resource, name].join(' '),
    ]),
  );
  return rules
    .flatMap(({ verbs, apiGroups = [], resources = [], resourceNames = [] }) =>
      verbs.flatMap((verb) =>
        apiGroups.flatMap((group) =>
          resources.flatMap((resource) =>
            resourceNames.length === 0
              ? [[verb, group, resource].join(' ')]
              : resourceNames.map((name) => [verb, group, resource, name].join(' ')),
          ),
        ),
      ),
    )
    .filter((right) => !used.has(right) && !excepted.some(([pattern]) => pattern.test(right)));
}
