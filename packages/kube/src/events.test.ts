import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Client, createEventRecorder } from './index.ts';
import { ApiServer } from './testing/api-server.ts';
import { until } from './testing/until.ts';

const api = new ApiServer();
let client: Client;
const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'a', name: 'p', uid: 'u' } };

before(async () => {
  await api.start();
  client = new Client({ server: api.url });
});

after(async () => {
  client.close();
  await api.stop();
});

test('the same event is written once, another by itself', async () => {
  const event = createEventRecorder(client, 'tester', { instance: 'tester-1' });
  for (let n = 0; n < 5; n++) event(pod, 'Warning', 'Waits', 'for a thing');
  event(pod, 'Normal', 'Waits', 'for another');
  await event.flush();
  const stored = api.all('events');
  assert.equal(stored.length, 2);
  assert.equal(api.count('PATCH'), 0);
  const involved = stored[0]!.involvedObject as { uid: string };
  assert.equal(involved.uid, 'u');
  assert.equal(stored[0]!.reportingInstance, 'tester-1');
});

test('what happened while the API was away is written when it is back', async () => {
  api.faults = [{ match: 'POST', times: 1, status: 503 }];
  const event = createEventRecorder(client, 'tester');
  event(pod, 'Warning', 'Away', 'the API');
  await until('it is there', () => api.all('events').some(({ reason }) => reason === 'Away'));
});

test('a refusal is given up quietly', async () => {
  api.faults = [{ match: 'POST', times: 5, status: 403, reason: 'Forbidden' }];
  const event = createEventRecorder(client, 'tester');
  event(pod, 'Warning', 'Refused', 'x');
  await event.flush();
  assert.equal(api.faults[0]!.times, 4);
  api.faults = [];
});
