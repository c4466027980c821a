import { createConnection } from 'node:net';
import { join } from 'node:path';

/** The first packet of a client that would like TLS: answered with one byte by any server that is well. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]);

/**
 * Whether the server on this Unix socket still takes connections: the postmaster accepts and forks, even when all
 * connections are taken. A session that is open already cannot tell: it goes on while the postmaster hangs.
 */
export function serverAnswers(socketDir: string, port: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(join(socketDir, `.s.PGSQL.${port}`));
    const end = (answer: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => end(false), timeoutMs);
    socket.once('connect', () => socket.write(SSL_REQUEST));
    socket.once('data', () => end(true));
    socket.once('error', () => end(false));
    socket.once('end', () => end(false));
  });
}
