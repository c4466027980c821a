import * as http from 'node:http';
import * as net from 'node:net';

/** A proxy on loopback that remembers where it was asked to connect to. */
export interface TestProxy {
  url: string;
  asked: string[];
  stop(): Promise<void>;
}

/** Connects by CONNECT; wants `login` (`user:password`) if one is given. */
export async function connectProxy(login?: string): Promise<TestProxy> {
  const asked: string[] = [];
  const wanted = login && `Basic ${Buffer.from(login).toString('base64')}`;
  const server = http.createServer();
  server.on('connect', (request, near) => {
    asked.push(request.url ?? '');
    if (wanted && request.headers['proxy-authorization'] !== wanted)
      return near.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
    const [host, port] = (request.url ?? '').split(':');
    const far = net.connect(Number(port), host, () => near.write('HTTP/1.1 200 OK\r\n\r\n'));
    join(near as net.Socket, far);
  });
  return listening(server, 'http', asked);
}

/** Speaks SOCKS 5 without a login, for targets that are IPv4 addresses or names. */
export async function socksProxy(): Promise<TestProxy> {
  const asked: string[] = [];
  const server = net.createServer((near) => {
    near.once('data', () => {
      near.write(Buffer.from([5, 0]));
      near.once('data', (wish) => {
        const isName = wish[3] === 3;
        const host = isName ? wish.subarray(5, 5 + wish[4]!).toString() : wish.subarray(4, 8).join('.');
        const port = wish.readUInt16BE(wish.length - 2);
        asked.push(`${isName ? 'name' : 'address'} ${host}:${port}`);
        const far = net.connect(port, host, () => near.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0])));
        join(near, far);
      });
    });
  });
  return listening(server, 'socks5', asked);
}

function join(near: net.Socket, far: net.Socket): void {
  for (const [one, other] of [
    [near, far],
    [far, near],
  ] as const) {
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroy());
    one.pipe(other);
  }
}

async function listening(server: net.Server, scheme: string, asked: string[]): Promise<TestProxy> {
  const open = new Set<net.Socket>();
  server.on('connection', (socket) => open.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `${scheme}://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    asked,
    stop: () => {
      for (const socket of open) socket.destroy();
      return new Promise<void>((resolve) => void server.close(() => resolve()));
    },
  };
}
