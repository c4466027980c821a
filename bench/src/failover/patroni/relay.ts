/**
 * Runs inside the router's namespace: `relay.ts PATH=ADDRESS:PORT...` listens on each Unix socket and leads
 * connections on, so that the measurement, which is outside, can talk to the members.
 */
import { connect, createServer } from 'node:net';
import { join } from '@pgherd/local/net/pipe';

const waiting = process.argv.slice(2).map((argument) => {
  const [path = '', address = ''] = argument.split('=');
  const [host = '', port] = address.split(':');
  const server = createServer((client) => {
    client.on('error', () => {});
    const onward = connect({ host, port: Number(port) });
    onward.on('error', () => client.destroy());
    join(client, onward);
  });
  return new Promise<void>((resolve) => server.listen(path, resolve));
});
await Promise.all(waiting);
process.stdout.write('ready\n');
