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

/** The host's way in: one Unix socket a TCP service port, each connection led to the service's address. */
export class RelaySockets {
  private readonly servers = new Map<string, { server: Server; target: string }>();
  private readonly layout: StateLayout;
  private readonly log: Log;
  private written = '';

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
    const wanted = new Map(
      table
        .filter(({ protocol }) => protocol === 'tcp')
        .map((row) => [relayKey(row.service, row.port), `${row.clusterIP}:${row.port}`]),
    );
    for (const [key, { server, target }] of this.servers) {
      if (wanted.get(key) === target) continue;
      server.close();
      this.servers.delete(key);
    }
    for (const [key, target] of wanted) if (!this.servers.has(key)) this.open(key, target);
    const keys = [...wanted.keys()];
    const text = keys.join('\n');
    if (text === this.written) return;
    this.written = text;
    writeJson(relayList(this.layout), keys);
  }

  private open(key: string, target: string): void {
    const [host, port] = target.split(':');
    const server = createServer({ allowHalfOpen: true }, (socket) =>
      join(socket, connect({ host, port: Number(port), allowHalfOpen: true })),
    );
    server.on('error', (error) => this.log.error({ key, error: String(error) }, 'relay socket'));
    server.listen(relaySocket(this.layout, key));
    this.servers.set(key, { server, target });
  }
}
