/** The small judgements around the loop: pods, routing, settings, the report. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Cluster } from '@pgherd/api';
import { initialState, type State } from '@pgherd/ha';
import type { Client, Lease, Pod, Service } from '@pgherd/kube';
import type { DatabaseView } from '../database/types.ts';
import { LeaseClient } from './lease-client.ts';
import { ownContainerID, podFacts } from './pods.ts';
import { buildReport } from './report.ts';
import { Routing, routingPatch } from './routing.ts';
import { settingsOf } from './settings.ts';

const STARTED = Date.parse('2026-01-01T10:00:00.400Z');

function pod(status: object, metadata: object = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'demo-1', uid: 'uid-1', labels: { 'pgherd.io/instance': 'demo-1' }, ...metadata },
    status: { podIP: '10.0.0.1', containerStatuses: [{ name: 'postgres', ...status }] },
  } as unknown as Pod;
}
const running = (startedAt: string) => ({ state: { running: { startedAt } }, containerID: 'c://2' });

const ownIDs: [string, object, string | undefined][] = [
  ['started in our second', running('2026-01-01T10:00:00Z'), 'c://2'],
  ['started later', running('2026-01-01T10:00:01Z'), 'c://2'],
  ['our predecessor', running('2026-01-01T09:59:59Z'), undefined],
  ['not running', { state: { waiting: {} }, containerID: 'c://2' }, undefined],
  [
    'said to have ended as well',
    { ...running('2026-01-01T10:00:00Z'), lastState: { terminated: { containerID: 'c://2' } } },
    undefined,
  ],
];
for (const [name, status, expected] of ownIDs)
  test(`our container: ${name}`, () => assert.equal(ownContainerID(pod(status), 'uid-1', STARTED), expected));
test('our container: never that of another pod', () => {
  assert.equal(ownContainerID(pod(running('2026-01-01T10:00:01Z')), 'uid-2', STARTED), undefined);
});

const ended = (reason: string) => ({ terminated: { containerID: 'c://1', reason } });
const terminated: [string, object, string[]][] = [
  ['in state', { state: ended('Error') }, ['c://1']],
  [
    'in lastState, hidden by a restart',
    { ...running('2026-01-01T10:00:00Z'), lastState: ended('Error') },
    ['c://1'],
  ],
  ['of unknown status', { state: ended('ContainerStatusUnknown') }, []],
  ['running', running('2026-01-01T10:00:00Z'), []],
];
for (const [name, status, expected] of terminated)
  test(`ended containers: ${name}`, () => assert.deepEqual(podFacts([pod(status)])[0]?.terminated, expected));
test('ended containers: of others than PostgreSQL nothing follows', () => {
  assert.deepEqual(podFacts([pod({ name: 'sidecar', state: ended('Error') })])[0]?.terminated, []);
});
test('a pod that is to leave is marked by its annotation', () => {
  assert.equal(podFacts([pod({}, { annotations: { 'pgherd.io/leaving': 'x' } })])[0]?.leaving, true);
});

const us = { cluster: 'demo', instance: 'demo-2', epoch: 5 };
const service = (epoch: string | undefined, selector: Record<string, string> | undefined): Service =>
  ({
    metadata: { resourceVersion: '9', annotations: epoch === undefined ? {} : { 'pgherd.io/epoch': epoch } },
    spec: { selector },
  }) as unknown as Service;
const toUs = { 'pgherd.io/cluster': 'demo', 'pgherd.io/instance': 'demo-2' };

test('-rw: a patch carries the version that was read, the epoch, and takes other keys away', () => {
  assert.deepEqual(
    routingPatch(service('4', { 'pgherd.io/instance': 'demo-1', 'pgherd.io/role': 'primary' }), us),
    {
      metadata: { resourceVersion: '9', annotations: { 'pgherd.io/epoch': '5' } },
      spec: { selector: { 'pgherd.io/role': null, ...toUs } },
    },
  );
});
const routes: [string, Service, 'done' | 'refused' | 'patch'][] = [
  ['ours already', service('5', toUs), 'done'],
  ['a higher epoch has it', service('6', { 'pgherd.io/instance': 'demo-1' }), 'refused'],
  ['a higher epoch has it, though it names us', service('6', toUs), 'refused'],
  ['ours, under an older epoch', service('4', toUs), 'patch'],
  ['made anew', service(undefined, undefined), 'patch'],
  ['our epoch, but taken away by hand', service('5', {}), 'patch'],
];
for (const [name, given, expected] of routes)
  test(`-rw: ${name}: ${expected}`, () => {
    const patch = routingPatch(given, us);
    assert.equal(typeof patch === 'string' ? patch : 'patch', expected);
  });

const cluster = (annotations: Record<string, string>, status: object = {}, spec: object = {}): Cluster =>
  ({
    metadata: { name: 'demo', annotations },
    spec: { instances: 3, storage: { size: '1Gi' }, ...spec },
    status,
  }) as unknown as Cluster;

test('settings: what status and spec say', () => {
  const { settings } = settingsOf(
    cluster(
      {},
      { leaseEpoch: 7, systemID: 's', instanceNames: ['demo-1'] },
      { postgresql: { synchronous: { method: 'first', number: 2, dataDurability: 'preferred' } } },
    ),
    'demo-1',
  );
  assert.equal(settings.epochFloor, 7);
  assert.equal(settings.systemID, 's');
  assert.deepEqual(settings.instanceNames, ['demo-1']);
  assert.deepEqual(settings.sync, { method: 'first', number: 2, required: false, maxNames: 3 });
  assert.deepEqual(
    [settings.renewMs, settings.stopMs, settings.guardMs, settings.takeMs],
    [2000, 6000, 8000, 10_000],
  );
});
test('settings: fences and wishes', () => {
  const of = (annotations: Record<string, string>) => settingsOf(cluster(annotations), 'demo-1').settings;
  assert.deepEqual(of({ 'pgherd.io/fenced': '["demo-2", "demo-3"]' }).fenced, ['demo-2', 'demo-3']);
  assert.ok(of({ 'pgherd.io/fenced': '["*"]' }).fenced.includes('demo-1'));
  assert.deepEqual(of({ 'pgherd.io/switchover': '{"id":"1","from":"demo-1"}' }).switchover, {
    id: '1',
    from: 'demo-1',
  });
  for (const text of ['', '{', 'null', '{"id":1}'])
    assert.equal(of({ 'pgherd.io/switchover': text }).switchover, undefined);
});

const standby: DatabaseView = {
  data: 'present',
  process: 'running',
  sqlReachable: true,
  inRecovery: true,
  replayedLsn: '0/20',
  streaming: false,
  receiverRunning: false,
  replication: [],
  pendingRestart: false,
  volumes: [],
  observedAt: 0,
};
const quiet = (changed: Partial<State> = {}): State => ({
  ...initialState({ name: 'demo-1', podUID: 'uid-1', identity: 'uid-1/1', address: '10.0.0.1' }),
  primaryMaybe: false,
  deathNeeded: false,
  ...changed,
});

test('report: before death is certain we may be a primary for all we know', () => {
  const stopped: DatabaseView = { ...standby, process: 'stopped' };
  assert.equal(buildReport(quiet({ deathNeeded: true }), stopped, false).role, 'primary');
  assert.equal(buildReport(quiet(), stopped, false).role, 'none');
  assert.equal(buildReport(quiet(), standby, false).role, 'replica');
});
test('report: a received LSN is given only when it is all there is', () => {
  assert.equal(buildReport(quiet(), standby, false).receivedLsn, undefined);
  assert.equal(buildReport(quiet(), { ...standby, replayedAll: true }, false).receivedLsn, '0/20');
  assert.equal(buildReport(quiet(), { ...standby, receivedLsn: '0/30' }, false).receivedLsn, '0/30');
});
test('report: a replica that has streamed stays ready while its primary is away', () => {
  assert.equal(buildReport(quiet(), standby, false).ready, false);
  assert.equal(buildReport(quiet(), standby, true).ready, true);
  assert.equal(buildReport(quiet(), { ...standby, sqlReachable: false }, true).ready, false);
});
test('report: a primary is ready only while it leads', () => {
  const primary: DatabaseView = { ...standby, inRecovery: false };
  const held = { epoch: 1, t0: { mono: 0, wall: 0 }, since: { mono: 0, wall: 0 }, continuing: true };
  assert.equal(buildReport(quiet({ held }), primary, false).ready, true);
  assert.equal(buildReport(quiet(), primary, false).ready, false);
});

const leaving = (get: () => Promise<unknown>) =>
  new Routing({
    client: { get } as unknown as Client,
    namespace: 'default',
    cluster: 'demo',
    instance: 'demo-1',
  }).leave();

test('a leader that goes waits until -rw has left it', async () => {
  const selected = ['demo-1', 'demo-1', 'demo-2'];
  await leaving(async () => ({ spec: { selector: { 'pgherd.io/instance': selected.shift() } } }));
  assert.deepEqual(selected, []);
});

test('without the API it goes at once', async () => {
  let asked = 0;
  await leaving(async () => {
    asked += 1;
    throw new Error('no answer');
  });
  assert.equal(asked, 1);
});

const owned = (uid: string) => ({ ownerReferences: [{ kind: 'Cluster', name: 'demo', uid }] });
const leases: [what: string, metadata: object, owner: string | undefined, kind: string][] = [
  ['of our Cluster', owned('ours'), 'ours', 'found'],
  ['of a Cluster of the same name that was made since', owned('new'), 'ours', 'missing'],
  ['while our own is not known yet', owned('new'), undefined, 'found'],
  ["that nobody's is", {}, 'ours', 'found'],
];
for (const [what, metadata, owner, kind] of leases)
  test(`the Lease ${what} is ${kind}`, async () => {
    const lease = {
      metadata: { name: 'demo-primary', resourceVersion: '1', ...metadata },
      spec: {},
    } as Lease;
    const client = { get: async () => lease } as unknown as Client;
    const options = { client, namespace: 'default', cluster: 'demo', wall: Date.now, owner: () => owner };
    assert.equal((await new LeaseClient(options).read(1_000)).kind, kind);
  });
