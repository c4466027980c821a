/** An API server in a folder of its own, and a client with the administrator's certificate, for tests. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensurePki, pkiPaths } from '../pki.ts';
import { Server, type ServerOptions } from './server.ts';
import type { KubeObject, Obj } from './types.ts';

/** An answer, with its body parsed when it is JSON. */
export interface Answer {
  code: number;
  body: Obj & { metadata?: Obj; items?: KubeObject[]; message?: string };
  text: string;
  headers: IncomingMessage['headers'];
}

export interface Ask {
  type?: string;
  headers?: Record<string, string>;
  /** A bearer token instead of the administrator's certificate; the empty string for neither. */
  token?: string;
}

/** One event of a watch. */
export interface TestEvent {
  type: string;
  object: KubeObject;
}

export interface TestApi {
  state: string;
  port: number;
  server: Server;
  kubeconfig: string;
  ask(method: string, path: string, body?: unknown, options?: Ask): Promise<Answer>;
  /** Opens a watch; `next` waits for the next event (5 s at most), `close` ends it. */
  watch(path: string): Promise<{ next(): Promise<TestEvent>; close(): void; ended: Promise<void> }>;
  /** What the administrator's connections need. */
  admin: { ca: Buffer; cert: Buffer; key: Buffer };
  /** Stops the server and starts another on the same folder and port. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

const DEADLINE_MS = 5000;

/** Starts a server on a free port. */
export async function startTestApi(options: Partial<ServerOptions> = {}): Promise<TestApi> {
  const state = mkdtempSync(join(tmpdir(), 'pgherd-api-'));
  mkdirSync(join(state, 'api'));
  await ensurePki(state, { apiPort: 0, nodes: ['node-1'] });
  let server = new Server({ state, ...options });
  const port = await server.listen({ port: 0, host: '127.0.0.1' });
  await ensurePki(state, { apiPort: port, nodes: ['node-1'], nodeServer: `https://127.0.0.1:${port}` });
  const paths = pkiPaths(state);
  const ca = readFileSync(paths.caCert);
  const credentials = {
    ca,
    cert: readFileSync(join(paths.dir, 'admin.crt')),
    key: readFileSync(join(paths.dir, 'admin.key')),
  };
  const admin = new Agent({ keepAlive: true, ...credentials });
  const bare = new Agent({ keepAlive: true, ca });

  const open = (method: string, path: string, data: string | undefined, ask: Ask): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const headers: Record<string, string> = { Accept: 'application/json', ...ask.headers };
      if (data !== undefined) {
        headers['Content-Type'] = ask.type ?? 'application/json';
        headers['Content-Length'] = String(Buffer.byteLength(data));
      }
      if (ask.token) headers.Authorization = `Bearer ${ask.token}`;
      const agent = ask.token === undefined ? admin : bare;
      const sent = request({ host: '127.0.0.1', port, method, path, headers, agent }, resolve);
      sent.on('error', reject);
      sent.end(data);
    });

  return {
    state,
    port,
    admin: credentials,
    get server() {
      return server;
    },
    kubeconfig: paths.adminKubeconfig,
    async ask(method, path, body, ask = {}) {
      const data = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
      const answer = await open(method, path, data, ask);
      let text = '';
      for await (const chunk of answer) text += chunk;
      const isJson = (answer.headers['content-type'] ?? '').includes('json');
      return {
        code: answer.statusCode ?? 0,
        body: (isJson ? JSON.parse(text) : {}) as Answer['body'],
        text,
        headers: answer.headers,
      };
    },
    watch: async (path) => readEvents(await open('GET', path, undefined, {})),
    async restart() {
      await server.close();
      admin.destroy();
      bare.destroy();
      server = new Server({ state, ...options });
      await server.listen({ port, host: '127.0.0.1' });
    },
    async close() {
      admin.destroy();
      bare.destroy();
      await server.close();
      rmSync(state, { recursive: true, force: true });
    },
  };
}

function readEvents(answer: IncomingMessage): {
  next(): Promise<TestEvent>;
  close(): void;
  ended: Promise<void>;
} {
  const waiting: ((event: TestEvent) => void)[] = [];
  const events: TestEvent[] = [];
  let rest = '';
  answer.setEncoding('utf8');
  answer.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const event = JSON.parse(line) as TestEvent;
      const taker = waiting.shift();
      if (taker) taker(event);
      else events.push(event);
    }
  });
  answer.on('error', () => undefined);
  return {
    ended: new Promise((resolve) => answer.once('close', () => resolve())),
    close: () => answer.destroy(),
    next: () =>
      new Promise((resolve, reject) => {
        const ready = events.shift();
        if (ready) return resolve(ready);
        const timer = setTimeout(() => reject(new Error(`no event within ${DEADLINE_MS} ms`)), DEADLINE_MS);
        waiting.push((event) => {
          clearTimeout(timer);
          resolve(event);
        });
      }),
  };
}
