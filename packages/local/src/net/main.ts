/**
 * netd: runs in the router's namespace and makes services of what the API says: translation rules, DNS, the API's
 * own address, and a Unix socket a service port for the host. When it dies the rules stay in force.
 */
import { createSocket } from 'node:dgram';
import { mkdirSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { parseArgs } from 'node:util';
import { Client, createCache, kinds } from '@pgherd/kube';
import { loadKubeconfig } from '@pgherd/kube/kubeconfig';
import { decode, encode, streamDecode, streamEncode } from 'dns-packet';
import { componentLog } from '../log.ts';
import { pkiPaths } from '../pki.ts';
import { stateLayout } from '../state.ts';
import { API_ADDRESS, DNS_ADDRESS } from './addresses.ts';
import { answer, type DnsSource, sliceKey } from './dns.ts';
import { applyProgram, changes, fullProgram, type Programmed } from './nft.ts';
import { join } from './pipe.ts';
import { RelaySockets } from './relay-sockets.ts';
import { serviceTable } from './services.ts';

const { values } = parseArgs({ options: { state: { type: 'string' } } });
const layout = stateLayout(values.state!);
const log = componentLog('netd');

process.on('uncaughtException', (error) => {
  log.error({ error: error.stack }, 'unexpected');
  process.exit(1);
});

mkdirSync(layout.net, { recursive: true, mode: 0o700 });
serveApi();

const config = await loadKubeconfig({ path: pkiPaths(layout.dir).netdKubeconfig });
const client = new Client({ ...config, socketPath: layout.apiSocket, userAgent: 'pgherd-netd' });
const options = { log, minBackoffMs: 20, maxBackoffMs: 500 };
const services = createCache(client, kinds.Service, options);
const slices = createCache(client, kinds.EndpointSlice, { ...options, indexes: { service: sliceKey } });
const ended = new AbortController();
services.start(ended.signal);
slices.start(ended.signal);
const source: DnsSource = {
  service: (namespace, name) => services.get(namespace, name),
  slices: (namespace, service) => slices.byIndex('service', `${namespace}/${service}`),
};
serveDns(source);
await Promise.all([services.synced(), slices.synced()]);
programme();

/** The address every pod knows the API by. TLS goes through untouched. */
function serveApi(): void {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
    join(socket, connect({ path: layout.apiSocket, allowHalfOpen: true })),
  );
  server.listen(443, API_ADDRESS);
}

function serveDns(names: DnsSource): void {
  const udp = createSocket('udp4');
  udp.on('message', (message, from) => {
    try {
      const reply = answer(decode(message), names);
      if (reply) udp.send(encode(reply), from.port, from.address);
    } catch (error) {
      log.debug({ error: String(error) }, 'not a DNS message');
    }
  });
  udp.bind(53, DNS_ADDRESS);
  createServer((socket) => serveDnsStream(socket, names)).listen(53, DNS_ADDRESS);
}

function serveDnsStream(socket: Socket, names: DnsSource): void {
  let buffer = Buffer.alloc(0);
  socket.setTimeout(10_000, () => socket.destroy());
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    buffer = Buffer.concat([buffer, chunk]);
    while (buffer.length > 2 && buffer.length >= buffer.readUInt16BE(0) + 2) {
      const size = buffer.readUInt16BE(0) + 2;
      const query = streamDecode(buffer.subarray(0, size));
      buffer = buffer.subarray(size);
      const reply = query && answer(query, names);
      if (reply) socket.write(streamEncode(reply));
    }
  });
}

/** Keeps the kernel's rules equal to what the caches say, one transaction at a time. */
function programme(): void {
  const relays = new RelaySockets(layout, log);
  let programmed: Programmed | undefined;
  let due = true;
  let busy = false;
  const work = async (): Promise<void> => {
    if (busy) return;
    busy = true;
    while (due) {
      due = false;
      const table = serviceTable(services.list(), slices.list());
      const program = programmed ? changes(programmed, table) : fullProgram(table);
      try {
        await applyProgram(program.script);
        programmed = program.next;
        relays.update(table);
      } catch (error) {
        // Perhaps what is in force is not what we think: start from nothing.
        log.error({ error: String(error), script: program.script }, 'the kernel refused the rules');
        programmed = undefined;
        setTimeout(wake, 500);
      }
    }
    busy = false;
  };
  const wake = (): void => {
    due = true;
    void work();
  };
  services.onChange(wake);
  slices.onChange(wake);
  wake();
}
