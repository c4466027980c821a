import assert from 'node:assert/strict';
import { CLUSTER_PLURAL, GROUP, names, OPERATOR_NAMESPACE } from '@pgherd/api';
import { kinds, type PolicyRule } from '@pgherd/kube';
import type { AccessEntry } from '@pgherd/local/api/access-record';
import { operatorRules } from '@pgherd/operator';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';

const OPERATOR = `system:serviceaccount:${OPERATOR_NAMESPACE}:pgherd-operator`;

/** Rights of the operator that no request shows, each with the reason why it is needed. */
const UNSEEN: Record<string, string> = {
  [`update ${GROUP} ${CLUSTER_PLURAL}/finalizers`]:
    'asked by the admission plugin OwnerReferencesPermissionEnforcement, which some clusters have on',
};

/** Rights of an instance that only some clusters use. */
const INSTANCE_UNSEEN: Record<string, string> = {
  'patch  events': 'an event that comes again is counted in the one that is there',
};

/** It runs last, and looks at what all scenarios before it made the operator ask for. */
export const leastPrivilege: Scenario = {
  name: 'least-privilege',
  title: 'operator and instances are refused nothing, and use each right that they have',
  needs: 'local',
  because: 'the API server of another cluster does not tell what was asked of it',
  async run(stage) {
    await stage.createCluster({ instances: 2 });
    const primary = await stage.primary();
    await stage.client.delete(kinds.Pod, { namespace: stage.namespace, name: primary });
    await stage.newPrimary(primary);
    await stage.ready();
    const { items } = await stage.client.json<{ items: AccessEntry[] }>({ path: '/debug/access' });
    await judgeInstances(stage, items);
    const ours = items.filter(({ user }) => user === OPERATOR);
    assert.deepEqual(
      ours.filter(({ allowed }) => !allowed).map(tell),
      [],
      'the operator was refused something',
    );
    const unused = missing(operatorRules(), ours, UNSEEN);
    if (stage.complete) assert.deepEqual(unused, [], 'rights of the operator that nothing used');
    else stage.note(`not seen, since not all scenarios ran: ${unused.join(', ') || 'none'}`);
  },
};

async function judgeInstances(stage: Stage, items: AccessEntry[]): Promise<void> {
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
  const unused = missing(role.rules ?? [], asked, INSTANCE_UNSEEN);
  assert.deepEqual(unused, [], 'rights of an instance that nothing used');
}

function tell({ verb, group, resource, name, namespace }: AccessEntry): string {
  return `${verb} ${group ? `${resource}.${group}` : resource} ${namespace ?? ''}/${name ?? '*'}`;
}

/** Rights as `verb group resource`, or `verb group resource name`, that were given and never used. */
function missing(rules: PolicyRule[], asked: AccessEntry[], excepted: Record<string, string>): string[] {
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
    .filter((right) => !used.has(right) && !(right in excepted));
}
