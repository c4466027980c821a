import * as net from 'node:net';

/** Stands between a client and a server, as a load balancer or a network does, and can go quiet. */
export class Forwarder {
  private readonly target: URL;
  private readonly server: net.Server;
  private readonly open = new Set<net.Socket>();

  constructor(target: string) {
    this.target = new URL(target);
    this.server = net.createServer((near) => this.join(near));
  }

  /** Resolves with the address to use instead of the server's. */
  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as net.AddressInfo).port}`;
  }

  /** Connections that are open now. */
  get connections(): number {
    return [...this.open].filter((socket) => !socket.destroyed).length / 2;
  }

  /** What is connected now stays open and brings nothing more, in either direction; new connections work. */
  goQuiet(): void {
    for (const socket of this.open) {
      socket.unpipe();
      socket.pause();
    }
  }

  /** What is connected now is reset. */
  reset(): void {
    for (const socket of this.open) socket.resetAndDestroy();
  }

  async stop(): Promise<void> {
    for (const socket of this.open) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private join(near: net.Socket): void {
    const far = net.connect(Number(this.target.port), this.target.hostname);
    near.pipe(far);
    far.pipe(near);
    for (const socket of [near, far]) {
      this.open.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.open.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
  }
}
