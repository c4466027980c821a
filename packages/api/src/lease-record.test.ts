import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LeaseObject, type LeaseRecord, microTime, readLease, writeLease } from './lease-record.ts';

const full: LeaseRecord = {
  holder: 'uid-1/1700000000000',
  epoch: 4,
  acquireTime: '2026-01-01T00:00:00.000000Z',
  renewTime: '2026-01-01T00:00:02.000000Z',
  designated: 'demo-1',
  systemID: '7400000000000000001',
  leader: { name: 'demo-1', podUID: 'uid-1', address: '10.244.1.2', containerID: 'containerd://abc' },
  timeline: 2,
  position: '0/3000060',
  members: [{ name: 'demo-1', incarnation: 'a1' }],
  rules: [{ method: 'any', number: 1, names: ['demo-2', 'demo-3'], required: true }],
  handover: { to: 'demo-2', position: '0/3000060', at: '2026-01-01T00:00:02.000000Z' },
};

test('what is written is read back', () => {
  const lease: LeaseObject = { metadata: { name: 'demo-primary', resourceVersion: '17' }, spec: {} };
  assert.deepEqual(readLease(writeLease(lease, full, 10)), full);
});

test('a write keeps the resourceVersion and the annotations of others', () => {
  const lease: LeaseObject = { metadata: { resourceVersion: '17', annotations: { other: 'x' } } };
  const written = writeLease(lease, full, 10);
  assert.equal(written.metadata?.resourceVersion, '17');
  assert.equal(written.metadata?.annotations?.other, 'x');
  assert.equal(written.spec?.leaseDurationSeconds, 10);
});

test('a released Lease has no holder, whether its field is empty or absent', () => {
  for (const spec of [{ holderIdentity: '' }, { holderIdentity: null }, {}])
    assert.equal(readLease({ spec }).holder, null);
  assert.equal(writeLease({} as LeaseObject, { ...full, holder: null }).spec?.holderIdentity, '');
});

test('a bare Lease reads as epoch 0 without members and rules', () => {
  assert.deepEqual(readLease({}), { holder: null, epoch: 0, members: [], rules: [] });
});

test('an unreadable annotation is an error, never an empty record', () => {
  for (const text of ['{', '[]', 'null'])
    assert.throws(() => readLease({ metadata: { annotations: { 'pgherd.io/record': text } } }), SyntaxError);
});

test('times carry exactly six fractional digits', () => {
  assert.equal(microTime(Date.UTC(2026, 0, 1)), '2026-01-01T00:00:00.000000Z');
  assert.equal(microTime(Date.UTC(2026, 0, 1) + 12.25), '2026-01-01T00:00:00.012250Z');
});
