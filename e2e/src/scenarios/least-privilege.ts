import assert from 'node:assert/strict';
import { OPERATOR_NAMESPACE } from '@pgherd/api';
import type { PolicyRule } from '@pgherd/kube';
import type { AccessEntry } from '@pgherd/local/api/access-record';
import { operatorRules } from '@pgherd/operator';
import type { Scenario } from '../scenario.ts';

const OPERATOR = `system:serviceaccount:${OPERATOR_NAMESPACE}:pgherd-operator`;

/** Rights that no request shows, each with the reason why it is needed. */
const UNSEEN: Record<string, string> = {
  'update pgherd.io clusters/finalizers':
    'asked by the admission plugin OwnerReferencesPermissionEnforcement, which some clusters have on',
};

export const leastPrivilege: Scenario = {
  name: 'least-privilege',
  title: 'what ran before did so with the rights of the chart, was refused nothing, and used every right',
  needs: 'local',
  because: 'the API server of another cluster does not tell what was asked of it',
  async run(stage) {
    const record = await stage.client.json<{ items: AccessEntry[] }>({ path: '/debug/access' });
    const ours = record.items.filter(({ user }) => user === OPERATOR || isInstance(user, record.items));
    const refused = ours.filter(({ allowed, namespace }) => !allowed && !isGoing(namespace));
    assert.deepEqual(refused.map(tell), [], 'requests were refused');
    const used = new Set(ours.filter(({ user }) => user === OPERATOR).map(rightOf));
    const rights = operatorRules().flatMap(single);
    const unused = rights.filter((right) => !used.has(right) && !(right in UNSEEN));
    stage.note(`${rights.length} rights of the operator`);
    if (stage.world.allRan()) assert.deepEqual(unused, [], 'rights that nothing used');
    else stage.note(`not all scenarios ran, so that ${unused.length} of them were not used`);
  },
};
