/** A clone of which each step is carried on by another operator: the one before was killed. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ClusterKind } from '../../cluster/kind.ts';
import { startTestApi, type TestApi } from '../../testing/api.ts';
import { createStage, type Stage } from '../../testing/instances.ts';
import { bringWhole, byMortals, claimsOf, hasRecovered, live } from '../../testing/mortals.ts';
import { OperationKind } from '../kind.ts';

const namespace = 'default';

let api: TestApi;
before(async () => {
  api = await startTestApi();
});
after(() => api.stop());

/** Two clusters, asked by one operator. */
function together(source: Stage, copy: Stage): Stage {
  const reports: Stage['reports'] = {
    async ask(question) {
      const own = await copy.reports.ask(question);
      const others = await source.reports.ask(question);
      return new Map([...others, ...[...own].filter(([name]) => copy.answers.has(name))]);
    },
    forget() {},
  };
  return { ...source, reports };
}

for (const { how, live: isLive } of [
  { how: 'out of a repository', live: false },
  { how: 'of a running replica', live: true },
])
  test(`a clone ${how} succeeds, with an operator killed at every step`, async () => {
    const name = isLive ? 'l' : 'r';
    const source = await bringWhole(api, name);
    const before = await source.lease();
    const copy = createStage(api.admin, `${name}-copy`);
    await api.admin.create(OperationKind, {
      apiVersion: 'pgherd.io/v1',
      kind: 'Operation',
      metadata: { name: `${name}-op`, namespace },
      spec: { cluster: name, type: 'Clone', clone: { name: `${name}-copy`, live: isLive } },
    } as never);
    const { ended, seen } = await byMortals(api, {
      stage: together(source, copy),
      operation: `${name}-op`,
      about: `${name}-copy`,
      // Replicas that stream at once might have it whole before anybody looks again.
      world: (seen) =>
        live(
          api.admin,
          copy,
          `${name}-copy`,
          hasRecovered,
          (instance) => instance.endsWith('-1') || seen.some((at) => at.startsWith('replicas stream')),
        ),
    });
    assert.equal(ended.status?.phase, 'Succeeded', ended.status?.message);
    assert.ok(ended.status?.steps?.every(({ state }) => state === 'Done'));
    for (const step of ['copy the data', 'replicas stream'])
      assert.ok(
        seen.some((at) => at.startsWith(step)),
        `no operator was killed at '${step}': ${seen.join(', ')}`,
      );
    assert.deepEqual(await claimsOf(api.admin, `${name}-copy`), [`${name}-copy-1`, `${name}-copy-2`]);
    assert.deepEqual(await claimsOf(api.admin, name), [`${name}-1`, `${name}-2`]);
    assert.deepEqual(await source.lease(), before, 'the source is not touched');
    const { status } = await api.admin.get(ClusterKind, { namespace, name: `${name}-copy` });
    assert.equal(status?.recovered?.lsn, '0/5');
  });
