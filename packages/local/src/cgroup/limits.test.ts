import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMembership, parseMounts } from './groups.ts';
import { limitsOf, oomKills, settingsV1, settingsV2 } from './limits.ts';

test('what a container asks for', () => {
  assert.equal(limitsOf({}), undefined);
  assert.equal(limitsOf({ resources: { requests: { memory: '1Gi' } } }), undefined);
  assert.deepEqual(limitsOf({ resources: { limits: { cpu: '1.5', memory: '64Mi' } } }), {
    memory: 67_108_864,
    cpu: 1500,
    cpuRequest: 1500,
  });
  assert.deepEqual(limitsOf({ resources: { requests: { cpu: '250m' } } }), { cpuRequest: 250 });
});

test('version 1', () => {
  const limits = { memory: 1000, cpu: 500, cpuRequest: 250 };
  assert.deepEqual(settingsV1('memory', limits), [
    ['memory.limit_in_bytes', '1000'],
    ['memory.memsw.limit_in_bytes', '1000'],
  ]);
  assert.deepEqual(settingsV1('cpu', limits), [
    ['cpu.shares', '256'],
    ['cpu.cfs_period_us', '100000'],
    ['cpu.cfs_quota_us', '50000'],
  ]);
  assert.deepEqual(settingsV1('cpu', { cpu: 1 }), [
    ['cpu.cfs_period_us', '100000'],
    ['cpu.cfs_quota_us', '1000'],
  ]);
  assert.deepEqual(settingsV1('memory', { cpu: 1 }), []);
});

test('version 2', () => {
  assert.deepEqual(settingsV2({ memory: 1000, cpu: 500, cpuRequest: 1000 }), [
    ['memory.max', '1000'],
    ['memory.swap.max', '0'],
    ['memory.oom.group', '1'],
    ['cpu.max', '50000 100000'],
    ['cpu.weight', '39'],
  ]);
});

test('kills for want of memory', () => {
  assert.equal(oomKills('oom_kill_disable 0\nunder_oom 0\noom_kill 2\n'), 2);
  assert.equal(oomKills('low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\noom_group_kill 1\n'), 1);
  assert.equal(oomKills(''), 0);
});

test('where the hierarchies are, and where we are in them', () => {
  const mounts = parseMounts(
    'proc /proc proc rw 0 0\ncgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n',
  );
  assert.deepEqual(
    mounts.map(({ path, type }) => `${type} ${path}`),
    ['cgroup /sys/fs/cgroup/cpu,cpuacct', 'cgroup2 /sys/fs/cgroup/unified'],
  );
  const own = parseMembership('4:cpu,cpuacct:/a:b\n0::/user.slice\n');
  assert.equal(own.get('cpu'), '/a:b');
  assert.equal(own.get(''), '/user.slice');
});
