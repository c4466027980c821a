import { createHash } from 'node:crypto';
import { existsSync, type FSWatcher, readFileSync, watch } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { join as joinPath } from 'node:path';
import type { Log } from '@pgherd/kube';
import { join } from '../net/pipe.ts';
import { relayList, relaySocket } from '../net/relay-sockets.ts';
import { type StateLayout, writeJson } from '../state.ts';

const FIRST_PORT = 15_432;
const DEFAULT_FOLDERS = ['/var/lib/pgherd', '.local/share/pgherd'];

/** Where a state folder begins to look for free loopback ports: the same each time, others for other folders. */
export function firstPort(state: string, base: number): number {
  if (DEFAULT_FOLDERS.some((folder) => state.endsWith(folder))) return base;
  return 16_000 + (createHash('sha256').update(`${state}:${base}`).digest().readUInt16BE(0) % 16_000);
}

/**
 * The host's relays: a stable loopback port for each port of a service, led to netd's socket. A port once given is
 * kept for its service, also while the service is away.
 */
export class Relays {
  private readonly layout: StateLayout;
  private readonly log: Log;
  private readonly servers = new Map<string, { server: Server; port: number }>();
  private ports: Record<string, number> = {};
  private watcher: FSWatcher | undefined;
  private busy: Promise<void> = Promise.resolve();

  constructor(layout: StateLayout, log: Log) {
    this.layout = layout;
    this.log = log;
    if (existsSync(this.portsFile)) this.ports = JSON.parse(readFileSync(this.portsFile, 'utf8'));
  }

  /** Ports that answer now. */
  get open(): Record<string, number> {
    return Object.fromEntries([...this.servers].map(([key, { port }]) => [key, port]).sort());
  }

  start(): void {
    writeJson(this.layout.relays, {});
    const wake = (): void => {
      this.busy = this.busy
        .then(() => this.update())
        .catch((error) => this.log.error({ error: String(error) }, 'relays'));
    };
    this.watcher = watch(this.layout.net, (_, name) => {
      if (name === 'services.json') wake();
    });
    wake();
  }

  stop(): void {
    this.watcher?.close();
    for (const { server } of this.servers.values()) server.close();
    this.servers.clear();
    writeJson(this.layout.relays, {});
  }

  private get portsFile(): string {
    return joinPath(this.layout.net, 'ports.json');
  }

  private async update(): Promise<void> {
    const file = relayList(this.layout);
    const wanted = new Set(existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as string[]) : []);
    let changed = false;
    for (const [key, { server }] of this.servers) {
      if (wanted.has(key)) continue;
      server.close();
      this.servers.delete(key);
      changed = true;
    }
    for (const key of wanted) {
      if (this.servers.has(key)) continue;
      await this.listen(key);
      changed = true;
    }
    if (!changed) return;
    writeJson(this.portsFile, this.ports);
    writeJson(this.layout.relays, this.open);
  }

  private async listen(key: string): Promise<void> {
    const path = relaySocket(this.layout, key);
    const server = createServer({ allowHalfOpen: true }, (socket) =>
      join(socket, connect({ path, allowHalfOpen: true })),
    );
    const given = new Set(Object.values(this.ports));
    const known = this.ports[key];
    if (known !== undefined && (await tryListen(server, known))) {
      this.servers.set(key, { server, port: known });
      return;
    }
    for (let port = firstPort(this.layout.dir, FIRST_PORT); ; port++) {
      if (given.has(port) || !(await tryListen(server, port))) continue;
      if (known !== undefined)
        this.log.warn({ key, known, port }, 'the port of a relay is taken; another is used');
      this.ports[key] = port;
      this.servers.set(key, { server, port });
      return;
    }
  }
}

/** Listens on a loopback port; false when it is taken. */
function tryListen(server: Server, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const failed = (): void => {
      server.off('listening', done);
      resolve(false);
    };
    const done = (): void => {
      server.off('error', failed);
      server.on('error', () => {});
      resolve(true);
    };
    server.once('error', failed);
    server.once('listening', done);
    server.listen(port, '127.0.0.1');
  });
}

/** A loopback port that is free now. */
export async function freePort(first: number): Promise<number> {
  for (let port = first; ; port++) {
    const server = createServer();
    if (!(await tryListen(server, port))) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}
