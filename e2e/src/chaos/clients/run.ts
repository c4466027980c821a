/** Starts the clients on a machine beside the cluster: in the network of a node to which nothing happens. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LineSplitter } from '@pgherd/cli/log-lines';
import { stateLayout } from '@pgherd/local';
import { enter, type Holder } from '@pgherd/local/net/namespaces';
import type { History } from '../history.ts';
import { type Addresses, type ClientLine, type ClientSettings, SETTINGS_VARIABLE } from './protocol.ts';

export interface RunningClients {
  /** Tells them where the instances are now. */
  follow(addresses: string[]): void;
  /** What went wrong, and how often, since the last call. */
  errors(): Record<string, number>;
  stop(): Promise<void>;
}

const STOP_MS = 5_000;

/** Resolves once they run; what they see goes into the history. */
export async function startClients(
  state: string,
  node: string,
  settings: ClientSettings,
  history: History,
): Promise<RunningClients> {
  const command = [process.execPath, join(import.meta.dirname, 'main.ts')];
  const [program, args] = enter(holderOf(state, node), command);
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, [SETTINGS_VARIABLE]: JSON.stringify(settings) },
  });
  const killer = () => child.kill('SIGKILL');
  process.once('exit', killer);
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const ready = Promise.withResolvers<void>();
  child.once('exit', (code) => ready.reject(new Error(`the clients ended with ${code}`)));
  child.stdin.on('error', () => {});
  let errors: Record<string, number> = {};
  const take = (line: ClientLine): void => {
    if (line.event === 'ready') {
      ready.resolve();
      return;
    }
    for (const ack of line.acks) history.acknowledge(ack);
    for (const read of line.reads) history.read(read);
    history.warned += line.warned;
    for (const [message, count] of Object.entries(line.errors))
      errors[message] = (errors[message] ?? 0) + count;
  };
  const lines = new LineSplitter();
  child.stdout.on('data', (chunk: Buffer) => {
    for (const text of lines.push(chunk)) take(JSON.parse(text) as ClientLine);
  });
  await ready.promise;
  return {
    follow: (addresses) => child.stdin.write(`${JSON.stringify({ addresses } satisfies Addresses)}\n`),
    errors: () => {
      const seen = errors;
      errors = {};
      return seen;
    },
    async stop() {
      child.stdin.end();
      const timer = setTimeout(killer, STOP_MS);
      await closed;
      clearTimeout(timer);
      process.off('exit', killer);
    },
  };
}

/** The process that keeps a node's network namespace. */
function holderOf(state: string, node: string): Holder {
  const file = join(stateLayout(state).run, 'network.json');
  const { nodes } = JSON.parse(readFileSync(file, 'utf8')) as { nodes: Record<string, Holder> };
  const holder = nodes[node];
  if (!holder) throw new Error(`there is no node ${node}`);
  return holder;
}
