/** A real API server of local mode for a test, and the operator's own identity on it, with exactly its rights. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Client, ensure, type Kind, type KubeObject, kinds } from '@pgherd/kube';
import { operatorManifests } from '../manifests.ts';

const SERVER = join(import.meta.dirname, '../../../local/src/api/main.ts');
const NAMESPACE = 'pgherd-system';
const START_MS = 20_000;

export interface TestApi {
  /** May do everything. */
  admin: Client;
  /** May do what the operator may. */
  operator: Client;
  stop(): Promise<void>;
}

export async function startTestApi(): Promise<TestApi> {
  const state = mkdtempSync(join(tmpdir(), 'pgherd-operator-'));
  const port = await freePort();
  const child = spawn(process.execPath, [SERVER, '--state', state, '--port', String(port)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await gone;
    }
    rmSync(state, { recursive: true, force: true });
  };
  try {
    await ready(child);
    const read = (name: string) => readFileSync(join(state, 'pki', name), 'utf8');
    const server = `https://127.0.0.1:${port}`;
    const ca = read('ca.crt');
    const admin = new Client({ server, ca, cert: read('admin.crt'), key: read('admin.key') });
    await install(admin);
    const { status } = await admin.post<{ status: { token: string } }>(
      kinds.ServiceAccount,
      { namespace: NAMESPACE, name: 'pgherd-operator' },
      'token',
      { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } },
    );
    return { admin, operator: new Client({ server, ca, token: () => status.token }), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function install(admin: Client): Promise<void> {
  for (const object of operatorManifests({ image: 'pgherd:test', replicas: 1, namespace: NAMESPACE })) {
    const kind = Object.values(kinds).find((known) => known.kind === object.kind) as Kind<KubeObject>;
    await ensure(admin, kind, object);
  }
}

function ready(child: ChildProcess): Promise<void> {
  const said: string[] = [];
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`the API server ${why}\n${said.join('\n')}`));
    const timer = setTimeout(() => fail('did not start in time'), START_MS);
    child.once('exit', (code) => fail(`ended with ${code}`));
    createInterface({ input: child.stderr! }).on('line', (line) => said.push(line));
    createInterface({ input: child.stdout! }).on('line', (line) => {
      if (!line.startsWith('ready')) return;
      clearTimeout(timer);
      resolve();
    });
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}

/** Looks until `look` gives something true; fails after `ms` with what it last saw. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  ms = 10_000,
): Promise<T> {
  const deadline = performance.now() + ms;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (performance.now() > deadline) throw new Error(`waited ${ms} ms for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
