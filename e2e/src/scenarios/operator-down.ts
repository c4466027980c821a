import assert from 'node:assert/strict';
import { names } from '@pgherd/api';
import { kinds } from '@pgherd/kube';
import { operatorPods, takeOperatorAway } from '../faults.ts';
import type { Scenario } from '../scenario.ts';

export const operatorDown: Scenario = {
  name: 'operator-down',
  title: "the operator is killed and kept down while all processes in the primary's pod are killed",
  shares: true,
  async run(stage) {
    await stage.sharedCluster();
    const writer = await stage.startWriter();
    const primary = await stage.primary();
    const bringBack = await takeOperatorAway(stage);
    try {
      const since = stage.now();
      const next = await stage.primaryAfterKill(primary);
      await stage.written(writer, 300);
      const service = await stage.client.get(kinds.Service, {
        namespace: stage.namespace,
        name: names(stage.cluster).rw,
      });
      assert.equal(
        service.spec?.selector?.['pgherd.io/instance'],
        next,
        'the -rw service must point at the new primary',
      );
      assert.equal((await operatorPods(stage)).length, 0, 'the operator must have been away all the time');
      stage.note(`${primary} -> ${next}`);
      await stage.check(writer, since);
    } finally {
      await bringBack();
    }
    await stage.ready();
  },
};
