import assert from 'node:assert/strict';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { type WebSocket, WebSocketServer } from 'ws';
import { Client } from './index.ts';
import { exec, logs, portForward } from './streams.ts';

/** A kubelet that echoes: exec answers with its stdin, port-forward with what it gets. */
const server = http.createServer((_request, response) => {
  response.writeHead(200);
  response.end('line 1\nline 2\n');
});
const sockets = new WebSocketServer({ noServer: true });
let client: Client;
const pod = { namespace: 'a', name: 'p' };

before(async () => {
  server.on('upgrade', (request, socket, head) => {
    if (request.url?.includes('/forbidden/')) {
      const body = JSON.stringify({ kind: 'Status', code: 403, reason: 'Forbidden', message: 'you may not' });
      socket.end(`HTTP/1.1 403 Forbidden\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (ws) => {
      if (request.url?.includes('/portforward')) echo(ws);
      else kubelet(ws, new URL(request.url!, 'http://x').searchParams.getAll('command'));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  client = new Client({ server: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
});

after(async () => {
  client.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function frame(channel: number, payload: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from([channel]), Buffer.from(payload)]);
}

function kubelet(ws: WebSocket, command: string[]): void {
  const finish = (code: number) => {
    ws.send(
      frame(
        3,
        JSON.stringify(
          code === 0
            ? { status: 'Success' }
            : {
                status: 'Failure',
                reason: 'NonZeroExitCode',
                details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
              },
        ),
      ),
    );
    ws.close();
  };
  if (command[0] === 'missing') {
    ws.send(
      frame(
        3,
        JSON.stringify({ status: 'Failure', code: 500, reason: 'InternalError', message: 'no such program' }),
      ),
    );
    ws.close();
    return;
  }
  ws.send(frame(2, 'to stderr'));
  ws.on('message', (data: Buffer) => {
    if (data[0] === 0) ws.send(frame(1, data.subarray(1)));
    if (data[0] === 255) finish(Number(command[1] ?? 0));
  });
}

function echo(ws: WebSocket): void {
  ws.send(frame(0, Buffer.from([0x38, 0x15])));
  ws.send(frame(1, Buffer.from([0x38, 0x15])));
  ws.on('message', (data: Buffer) => ws.send(data));
}

test('a log is read to its end', async () => {
  assert.equal(await text(await logs(client, pod, { tailLines: 2 })), 'line 1\nline 2\n');
});

test('exec carries both ways and gives the exit code', async () => {
  for (const code of [0, 3]) {
    const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
    const big = 'x'.repeat(300_000);
    stdin.end(big);
    const out = text(stdout);
    const err = text(stderr);
    assert.equal(await exec(client, pod, { command: ['cat', String(code)], stdin, stdout, stderr }), code);
    stdout.end();
    stderr.end();
    assert.equal(await out, big);
    assert.equal(await err, 'to stderr');
  }
});

test('a command that cannot run is an error with the reason', async () => {
  await assert.rejects(exec(client, pod, { command: ['missing'] }), /no such program/);
  await assert.rejects(
    exec(client, { namespace: 'forbidden', name: 'p' }, { command: ['x'] }),
    /you may not/,
  );
});

test('a forwarded port carries bytes both ways', async () => {
  const stream = await portForward(client, pod, 5432);
  stream.write('hello');
  const [got] = await new Promise<Buffer[]>((resolve) => stream.once('data', (chunk) => resolve([chunk])));
  assert.equal(String(got), 'hello');
  stream.destroy();
});
