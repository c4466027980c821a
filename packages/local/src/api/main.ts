/**
 * The API server as a process: `main.ts --state DIR [--port N]`. It listens on 127.0.0.1 and on
 * `<state>/api/api.sock`, both with TLS, and writes `ready` to standard output once it serves.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensurePki } from '../pki.ts';
import { Server } from './server.ts';

const DEFAULT_PORT = 6443;

interface Config {
  apiPort?: number;
  nodes?: (string | { name: string })[];
}

function readConfig(state: string): Config {
  const file = join(state, 'config.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Config) : {};
}

const { values } = parseArgs({ options: { state: { type: 'string' }, port: { type: 'string' } } });
if (!values.state) {
  console.error('usage: main.ts --state DIR [--port N]');
  process.exit(2);
}
const { state } = values;
const config = readConfig(state);
const port = Number(values.port ?? config.apiPort ?? DEFAULT_PORT);
const nodes = (config.nodes ?? []).map((node) => (typeof node === 'string' ? node : node.name));
mkdirSync(join(state, 'api'), { recursive: true, mode: 0o700 });
await ensurePki(state, { apiPort: port, nodes });
const server = new Server({ state });
await server.listen({ port, host: '127.0.0.1' });
await server.listen({ socket: join(state, 'api', 'api.sock') });
console.log(`ready on https://127.0.0.1:${port}`);

let stopping = false;
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    if (stopping) return;
    stopping = true;
    void server.close().then(() => process.exit(0));
  });
}
