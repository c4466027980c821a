import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:net';
import { CliError } from '../errors.ts';

/**
 * Makes this process the only one that runs the demo in a state folder, until it ends, however it ends: an abstract
 * socket belongs to its process and leaves no file behind. Throws CliError `refused` when there is another one.
 */
export async function onlyOne(state: string): Promise<Server> {
  const name = createHash('sha256').update(state).digest('hex').slice(0, 16);
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'EADDRINUSE') return reject(cause);
      reject(
        new CliError('refused', `Another npm start is at work in ${state}.`, {
          hint: 'Wait until it has ended, then start again; it takes less than a minute.',
        }),
      );
    });
    server.listen(`\0pgherd-demo-${name}`, resolve);
  });
  server.unref();
  return server;
}
