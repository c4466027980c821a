/** Questions between managers, over real HTTPS: who asks gets the answers of those who were asked, in time. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Event, PROMISE_MS } from '@pgherd/ha';
import { freePort, testFolder } from '@pgherd/postgres/testing';
import { type ManagerServer, serveManager } from '../server/manager-server.ts';
import { makeTls } from '../testing.ts';
import { readTlsFiles } from '../tls.ts';
import { Assent } from './assent.ts';
import { PeersClient } from './peers-client.ts';

const folder = testFolder();
const port = await freePort();
const servers: ManagerServer[] = [];
const clients: PeersClient[] = [];
/** How each of them decides. */
const decisions = new Map<string, (event: Event, assent: Assent) => void>();
const fed: Event[] = [];
const noted: string[] = [];
let full = false;
const address = (name: string) => `127.0.0.${30 + Number(name.slice(-1))}`;

function open(name: string): Assent {
  const material = readTlsFiles(join(folder, 'tls'))!;
  const peers = new PeersClient({
    cluster: 'demo',
    tls: () => ({ ca: material.ca, cert: material.clientCert, key: material.clientKey }),
    port,
  });
  clients.push(peers);
  const assent: Assent = new Assent({
    instance: name,
    identity: `${name}-uid/1`,
    peers,
    addressOf: (other) => (other === 'demo-9' ? undefined : address(other)),
    note: (to, epoch) => {
      if (full) throw new Error('no space');
      noted.push(`${name}: ${to} ${epoch}`);
    },
    feed: (event) => (decisions.get(name) ?? (() => fed.push(event)))(event, assent),
  });
  return assent;
}

async function serve(name: string): Promise<void> {
  const assent = open(name);
  servers.push(
    await serveManager({
      port,
      host: address(name),
      material: readTlsFiles(join(folder, 'tls'))!,
      answers: {
        report: () => assert.fail(),
        changed: () => assert.fail(),
        freshReport: () => assert.fail(),
        grant: (question) => assent.grant(question),
        promise: (question) => assent.promise(question),
        prepare: () => assert.fail(),
      },
    }),
  );
}

let one: Assent;

before(async () => {
  makeTls(join(folder, 'tls'), ['demo-rw', 'demo-r']);
  one = open('demo-1');
  await serve('demo-2');
  await serve('demo-3');
});

after(() => {
  for (const server of servers) server.close();
  for (const client of clients) client.close();
});

test('a leader hears who grants, who does not, and who is not there', async () => {
  decisions.set('demo-2', (event, assent) => {
    if (event.type !== 'grantAsked') return;
    const granted = { to: event.leader, epoch: event.epoch, forMs: 6000 };
    assent.answer({ type: 'answerGrant', id: event.id, answer: { name: 'demo-2', granted } });
  });
  decisions.set('demo-3', (event, assent) => {
    if (event.type !== 'grantAsked') return;
    // Somebody else at this address: no answer of demo-3.
    assent.answer({ type: 'answerGrant', id: event.id, answer: { name: 'demo-4', refused: 'no' } });
  });
  const before = performance.now();
  await one.askGrants({
    type: 'askGrants',
    names: ['demo-2', 'demo-3', 'demo-4', 'demo-9'],
    epoch: 5,
    timeoutMs: 2000,
  });
  const event = fed.pop();
  assert.ok(event?.type === 'grants' && event.askedAt.mono >= before - 1);
  assert.deepEqual(event.answers, {
    'demo-2': { name: 'demo-2', granted: { to: 'demo-1-uid/1', epoch: 5, forMs: 6000 } },
    'demo-3': null,
    'demo-4': null,
    'demo-9': null,
  });
  assert.deepEqual(noted, ['demo-2: demo-1-uid/1 5']);
});

test('a grant that cannot be noted is refused', async () => {
  full = true;
  await one.askGrants({ type: 'askGrants', names: ['demo-2'], epoch: 5, timeoutMs: 2000 });
  full = false;
  const event = fed.pop();
  assert.ok(event?.type === 'grants');
  assert.deepEqual(event.answers['demo-2'], {
    name: 'demo-2',
    refused: 'the grant could not be noted: no space',
  });
});

test('a candidate hears each promise as it comes; one that is never decided is refused in time', async () => {
  decisions.set('demo-2', (event, assent) => {
    if (event.type !== 'promiseAsked') return;
    const promised = { epoch: event.epoch, version: event.version };
    const answer = { name: 'demo-2', incarnation: 'i', promised, timeline: 2, lsn: '0/30' };
    setTimeout(() => assent.answer({ type: 'answerPromise', id: event.id, answer }), 20);
  });
  decisions.set('demo-3', () => undefined);
  fed.length = 0;
  const began = performance.now();
  const asking = one.askPromises({
    type: 'askPromises',
    names: ['demo-2', 'demo-3'],
    epoch: 5,
    version: '99',
    timeoutMs: 5000,
  });
  await asking;
  assert.ok(performance.now() - began < PROMISE_MS + 2000);
  const names = fed.map((event) => (event.type === 'promises' ? event.answers : {}));
  assert.deepEqual(names, [
    {
      'demo-2': {
        name: 'demo-2',
        incarnation: 'i',
        promised: { epoch: 5, version: '99' },
        timeline: 2,
        lsn: '0/30',
      },
    },
    { 'demo-3': { name: 'demo-3', refused: 'no answer in time' } },
  ]);
});
