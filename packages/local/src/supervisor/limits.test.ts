import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { kinds } from '@pgherd/kube';
import { groupName } from '../cgroup/groups.ts';
import { readCgroups, stateLayout } from '../state.ts';
import { eventually, getPod, shellPod, startTestLocal, type TestLocal } from './testing.ts';

let local: TestLocal;
before(async () => {
  local = await startTestLocal(1);
});
after(() => local.end());

test('limits of memory and CPU hold, or it is said that they do not', async (t) => {
  const { limits } = local.info;
  t.diagnostic(limits.text);
  if (!limits.enforced) {
    assert.match(limits.text, /^not enforced: /);
    return;
  }
  const eats = 'exec perl -e \'my $x = "a" x (200 << 20); sleep 100\'';
  const spins = `exec perl -e '$SIG{TERM} = sub { exit }; 1 while 1'`;
  const pods = [
    shellPod('eats', eats, { container: { resources: { limits: { memory: '32Mi' } } } }),
    shellPod('spins', spins, { container: { resources: { limits: { cpu: '100m' } } } }),
  ];
  for (const pod of pods) await local.client.create(kinds.Pod, pod);
  await eventually('the end for want of memory', async () => {
    const [status] = (await getPod(local.client, 'eats')).status?.containerStatuses ?? [];
    const ended = status?.state?.terminated ?? status?.lastState?.terminated;
    if (ended) assert.equal(`${ended.reason} ${ended.exitCode}`, 'OOMKilled 137');
    return ended;
  });
  const { cpu } = readCgroups(stateLayout(local.state))!;
  await eventually('the kernel to hold the other back', async () => {
    const { uid } = (await getPod(local.client, 'spins')).metadata;
    const stat = join(cpu, groupName(uid!, 'c'), 'cpu.stat');
    return existsSync(stat) && Number(/^nr_throttled (\d+)$/m.exec(readFileSync(stat, 'utf8'))?.[1]) > 3;
  });
  const groups = () =>
    readdirSync(readCgroups(stateLayout(local.state))!.memory).filter((n) => n.endsWith('_c'));
  assert.equal(groups().length, 2);
  for (const { metadata } of pods)
    await local.client.delete(kinds.Pod, { ...metadata, namespace: 'default' });
  await eventually('the groups to be gone', () => groups().length === 0);
});
