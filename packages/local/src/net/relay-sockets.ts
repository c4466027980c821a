import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { join as joinPath } from 'node:path';
import type { Log } from '@pgherd/kube';
import { type StateLayout, writeJson } from '../state.ts';
import { join } from './pipe.ts';
import { relayKey, type ServicePortTable } from './services.ts';

/** Path of the Unix socket that leads to a service's port. Short, since paths of sockets are limited. */
export function relaySocket(layout: StateLayout, key: string): string {
  return joinPath(layout.net, `${createHash('sha256').update(key).digest('hex').slice(0, 12)}.sock`);
}

/** Names of the services that have sockets now, for the supervisor. */
export function relayList(layout: StateLayout): string {
  return joinPath(layout.net, 'services.json');
}

/**
 * The host's way in: one Unix socket a TCP service port. Each connection goes to one of the addresses that answer
 * for the service then, picked at random as the router's rules do for pods.
 */
export class RelaySockets {
  private readonly servers = new Map<string, Server>();
  private readonly backends = new Map<string, string[]>();
  private readonly layout: StateLayout;
  private readonly log: Log;
  private written: string | undefined;

  constructor(layout: StateLayout, log: Log) {
    this.layout = layout;
    this.log = log;
    mkdirSync(layout.net, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(layout.net)) {
      // Left by a netd before this one.
      if (name.endsWith('.sock')) unlinkSync(joinPath(layout.net, name));
    }
  }

  update(table: ServicePortTable[]): void {
    this.backends.clear();
    for (const row of table) {
      if (row.protocol === 'tcp') this.backends.set(relayKey(row.service, row.port), row.backends);
    }
    for (const [key, server] of this.servers) {
      if (this.backends.has(key)) continue;
      server.close();
      this.servers.delete(key);
    }
    for (const key of this.backends.keys()) if (!this.servers.has(key)) this.open(key);
    const keys = [...this.backends.keys()];
    const text = keys.join('\n');
    if (text === this.written) return;
    this.written = text;
    writeJson(relayList(this.layout), keys);
  }

  private open(key: string): void {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      const target = pick(this.backends.get(key) ?? []);
      if (!target) {
        socket.destroy();
        return;
      }
      const [host, port] = target.split(':');
      join(socket, connect({ host, port: Number(port), allowHalfOpen: true }));
    });
    server.on('error', (error) => this.log.error({ key, error: String(error) }, 'relay socket'));
    server.listen(relaySocket(this.layout, key));
    this.servers.set(key, server);
  }
}

function pick(backends: string[]): string | undefined {
  return backends[Math.floor(Math.random() * backends.length)];
}
