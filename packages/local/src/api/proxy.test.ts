import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { WebSocketServer } from 'ws';
import { startTestApi, type TestApi } from './testing.ts';

const PODS = '/api/v1/namespaces/default/pods';

/** An agent that answers logs with what it was asked, and exec by echoing once and ending with code 3. */
function fakeAgent(socket: string): Promise<Server> {
  const agent = createServer((request, response) => response.end(`asked ${request.url}\n`));
  const sockets = new WebSocketServer({
    noServer: true,
    handleProtocols: (protocols) => (protocols.has('v5.channel.k8s.io') ? 'v5.channel.k8s.io' : false),
  });
  agent.on('upgrade', (request, stream, head) => {
    sockets.handleUpgrade(request, stream, head, (client) => {
      assert.equal(request.headers.authorization, undefined);
      client.send(Buffer.concat([Buffer.from([1]), Buffer.from(`ran ${request.url}\n`)]));
      const details = { causes: [{ reason: 'ExitCode', message: '3' }] };
      const status = {
        metadata: {},
        status: 'Failure',
        reason: 'NonZeroExitCode',
        message: 'exit code 3',
        details,
      };
      client.send(Buffer.concat([Buffer.from([3]), Buffer.from(JSON.stringify(status))]));
      client.close(1000);
    });
  });
  return new Promise((resolve) => agent.listen(socket, () => resolve(agent)));
}

describe('logs and exec', () => {
  let api: TestApi;
  let agent: Server;
  before(async () => {
    api = await startTestApi();
    mkdirSync(join(api.state, 'nodes', 'node-1'), { recursive: true });
    agent = await fakeAgent(join(api.state, 'nodes', 'node-1', 'agent.sock'));
    await api.ask('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'default' } });
    for (const [name, node] of [
      ['here', 'node-1'],
      ['lost', 'node-2'],
      ['nowhere', undefined],
    ] as const) {
      const containers = [{ name: 'a', image: 'x' }, ...(name === 'lost' ? [{ name: 'b', image: 'x' }] : [])];
      await api.ask('POST', PODS, { metadata: { name }, spec: { nodeName: node, containers } });
    }
  });
  after(async () => {
    await new Promise((resolve) => {
      agent.close(resolve);
      agent.closeAllConnections();
    });
    await api.close();
  });

  it('passes logs on to the agent with their parameters', async () => {
    const answer = await api.ask('GET', `${PODS}/here/log?follow=true&tailLines=5`);
    assert.equal(answer.code, 200);
    assert.equal(answer.text, 'asked /logs/default/here/a?follow=true&tailLines=5\n');
  });

  const refused: [path: string, code: number, message: RegExp][] = [
    ['none/log', 404, /pods "none" not found/],
    ['nowhere/log', 400, /does not have a host assigned/],
    ['here/log?container=z', 400, /container z is not valid for pod here/],
    ['lost/log', 400, /a container name must be specified for pod lost, choose one of: \[a b\]/],
    ['lost/log?container=a', 500, /the agent of node node-2 cannot be reached/],
  ];
  for (const [path, code, message] of refused) {
    it(`answers ${code} to ${path}`, async () => {
      const answer = await api.ask('GET', `${PODS}/${path}`);
      assert.equal(answer.code, code);
      assert.match(answer.body.message ?? '', message);
    });
  }

  it('passes exec through, exit code included', async (test) => {
    const result = await new Promise<{ code: unknown; out: string; err: string }>((resolve) => {
      const env = { ...process.env, KUBECONFIG: api.kubeconfig };
      execFile('kubectl', ['exec', 'here', '--', 'do', 'it'], { env, timeout: 20_000 }, (error, out, err) =>
        resolve({ code: error?.code, out, err }),
      );
    });
    if (result.code === 'ENOENT') return test.skip('kubectl is not installed');
    assert.match(result.out, /^ran \/exec\/default\/here\/a\?command=do&command=it&container=a/, result.err);
    assert.equal(result.code, 3);
  });
});
