import assert from 'node:assert/strict';
import { exceptions, totalsOf } from '../conformance/report.ts';
import { runConformance } from '../conformance/run.ts';
import type { Scenario } from '../scenario.ts';

export const apiConformance: Scenario = {
  name: 'api-conformance',
  title: 'the Kubernetes API does what its documentation says, as far as pgherd and kubectl rely on it',
  alongside: true,
  async run(stage) {
    const results = await runConformance({
      config: stage.client.config,
      namespace: `${stage.namespace}-rows`,
      image: stage.world.image('postgresql'),
    });
    const { passed, failed, skipped } = totalsOf(results);
    stage.note(`${passed} rows hold, ${skipped} cannot be shown here`);
    assert.equal(failed, 0, exceptions(results).join('\n'));
  },
};
