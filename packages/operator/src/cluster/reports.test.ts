import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { silent } from '@pgherd/kube';
import { createAuthority, createLeaf } from '../pki.ts';
import { eventually } from '../testing/api.ts';
import { testReport } from '../testing/facts.ts';
import { serverNames } from './certificates.ts';
import { createReports, type Question, type Reports } from './reports.ts';

const span = { now: new Date(), days: 90 };
const authority = await createAuthority({ commonName: 'demo-ca', ...span });

interface Peer {
  server: Server;
  port: number;
  clients: string[];
  /** Questions for changes that are open. */
  watchers: ServerResponse[];
  /** What it says; undefined: nothing, ever. */
  says: () => object | undefined;
}

async function peer(dnsNames = serverNames('demo', 'default')): Promise<Peer> {
  const leaf = await createLeaf(authority, { commonName: 'demo-rw', dnsNames, usage: 'server', ...span });
  const made: Peer = {
    server: createServer(
      { ...leaf, ca: authority.cert, requestCert: true, rejectUnauthorized: true },
      (request, response) => {
        made.clients.push(String((request.socket as TLSSocket).getPeerCertificate().subject.CN));
        if (request.url?.startsWith('/changes')) {
          made.watchers.push(response);
          return;
        }
        const said = made.says();
        if (said) response.end(JSON.stringify(said));
      },
    ),
    port: 0,
    clients: [],
    watchers: [],
    says: () => testReport('demo-1', 'primary'),
  };
  made.server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => made.server.listen(0, '127.0.0.1', resolve));
  made.port = (made.server.address() as { port: number }).port;
  return made;
}

function stop({ server }: Peer, reports: Reports): void {
  reports.forget('default/demo');
  server.closeAllConnections();
  server.close();
}

function question(more: Partial<Question> = {}): Question {
  return {
    cluster: 'default/demo',
    serverName: 'demo-rw',
    authority,
    trusted: authority.cert,
    instances: [{ name: 'demo-1', podUID: 'uid-demo-1', address: '127.0.0.1' }],
    ...more,
  };
}

test('an instance is asked by its own name, with the certificate of the operator', async () => {
  const one = await peer();
  const reports = createReports({ log: silent, onNews() {}, port: one.port });
  try {
    const answers = await reports.ask(question());
    assert.equal(answers.get('demo-1')?.report?.role, 'primary');
    assert.deepEqual(one.clients, ['pgherd-operator']);
  } finally {
    stop(one, reports);
  }
});

test('an answer under another name, or of another pod, is none', async () => {
  const one = await peer(['else-r']);
  const reports = createReports({ log: silent, onNews() {}, port: one.port });
  try {
    const wrong = await reports.ask(question());
    assert.match(wrong.get('demo-1')?.silent ?? '', /altnames/);
  } finally {
    stop(one, reports);
  }
  const two = await peer();
  two.says = () => testReport('demo-1', 'primary', { podUID: 'another' });
  const again = createReports({ log: silent, onNews() {}, port: two.port });
  try {
    assert.match((await again.ask(question())).get('demo-1')?.silent ?? '', /another pod/);
  } finally {
    stop(two, again);
  }
});

test('what an instance waits for is told by our clock, whatever its own says', async () => {
  for (const aheadMs of [-7_200_000, 7_200_000, 1_000]) {
    const one = await peer();
    const at = (ms: number) => new Date(Date.now() + aheadMs + ms).toISOString();
    const waiting = { what: 'demo-2', since: at(-10_000), deadline: at(60_000) };
    one.server.prependListener('request', (_request, response) => {
      response.setHeader('date', new Date(Date.now() + aheadMs).toUTCString());
    });
    one.says = () => testReport('demo-1', 'primary', { waiting });
    const reports = createReports({ log: silent, onNews() {}, port: one.port });
    try {
      const { report } = (await reports.ask(question())).get('demo-1') ?? {};
      const left = Date.parse(report?.waiting?.deadline ?? '') - Date.now();
      assert.ok(left > 50_000 && left < 70_000, `${aheadMs}: ${left} ms are left`);
      assert.equal(left > 0, Date.parse(report?.waiting?.since ?? '') < Date.now());
    } finally {
      stop(one, reports);
    }
  }
});

test('one that does not answer holds up nobody, and its late word is news', async () => {
  const one = await peer();
  const news: string[] = [];
  const held: (() => void)[] = [];
  one.server.removeAllListeners('request');
  one.server.on('request', (_request, response) => {
    held.push(() => response.end(JSON.stringify(testReport('demo-1', 'primary'))));
  });
  const reports = createReports({
    log: silent,
    onNews: (key) => news.push(key),
    port: one.port,
    waitMs: 50,
    timeoutMs: 20_000,
  });
  try {
    const began = performance.now();
    const first = await reports.ask(question());
    assert.equal(first.get('demo-1')?.report, undefined);
    assert.ok(performance.now() - began < 5_000);
    await eventually('the request', async () => held.length === 1);
    // Asked again meanwhile: no second request goes out.
    await reports.ask(question());
    assert.equal(held.length, 1);
    held[0]!();
    await eventually('the news', async () => news.length === 1);
  } finally {
    stop(one, reports);
  }
});

test('refused and silent instances are told apart', async () => {
  const one = await peer();
  const { port } = one;
  await new Promise((resolve) => one.server.close(resolve));
  const reports = createReports({ log: silent, onNews() {}, port });
  const answers = await reports.ask(question());
  assert.equal(answers.get('demo-1')?.silent, 'connection refused');
  reports.forget('default/demo');
});

test('a change is news at once, and so is silence', async () => {
  const one = await peer();
  let news = 0;
  const reports = createReports({ log: silent, onNews: () => void news++, port: one.port });
  try {
    await reports.ask(question());
    await eventually('a question for changes', async () => one.watchers.length === 1);
    assert.equal(news, 0);
    one.watchers[0]!.end('look\n');
    await eventually('news', async () => news === 1);
    await reports.ask(question());
    await eventually('another question', async () => one.watchers.length === 2);
    one.server.close();
    one.server.closeAllConnections();
    await eventually('news', async () => news >= 2);
  } finally {
    stop(one, reports);
  }
});
