/** Asks the other instances for their reports: in parallel, over mutual TLS, with a short deadline. */
import { Agent, request } from 'node:https';
import { type InstanceReport, MANAGER_PORT, names } from '@pgherd/api';

export interface PeerTls {
  ca: string | Buffer;
  cert: string | Buffer;
  key: string | Buffer;
}

export interface PeersClientOptions {
  cluster: string;
  /** Our certificate as it is now; asked for at each call, since it is renewed. */
  tls(): PeerTls;
  /** For tests. */
  port?: number;
}

const LONGEST_REPORT = 1 << 20;

export class PeersClient {
  readonly #o: PeersClientOptions;
  #agent: Agent | undefined;
  #tls: PeerTls | undefined;

  constructor(options: PeersClientOptions) {
    this.#o = options;
  }

  /** Answers by name; null for whoever did not answer in time, or answered as somebody else. */
  async ask(
    peers: { name: string; address: string }[],
    timeoutMs: number,
  ): Promise<Record<string, InstanceReport | null>> {
    const answers = await Promise.all(
      peers.map(async (peer) => [peer.name, await this.#one(peer, timeoutMs).catch(() => null)] as const),
    );
    return Object.fromEntries(answers);
  }

  close(): void {
    this.#agent?.destroy();
  }

  #connection(): Agent {
    const tls = this.#o.tls();
    if (!this.#agent || tls.cert !== this.#tls?.cert || tls.ca !== this.#tls.ca) {
      this.#agent?.destroy();
      this.#tls = tls;
      this.#agent = new Agent({
        ...tls,
        keepAlive: true,
        maxSockets: 4,
        servername: names(this.#o.cluster).r,
      });
    }
    return this.#agent;
  }

  #one(peer: { name: string; address: string }, timeoutMs: number): Promise<InstanceReport | null> {
    return new Promise((resolve, reject) => {
      const call = request({
        agent: this.#connection(),
        host: peer.address,
        port: this.#o.port ?? MANAGER_PORT,
        path: '/status',
        signal: AbortSignal.timeout(timeoutMs),
      });
      call.on('error', reject);
      call.on('response', (answer) => {
        const chunks: Buffer[] = [];
        let size = 0;
        answer.on('error', reject);
        answer.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > LONGEST_REPORT) call.destroy(new Error('the report is too long'));
          else chunks.push(chunk);
        });
        answer.on('end', () => {
          try {
            const report = JSON.parse(Buffer.concat(chunks).toString('utf8')) as InstanceReport;
            resolve(answer.statusCode === 200 && report.name === peer.name ? report : null);
          } catch (error) {
            reject(error as Error);
          }
        });
      });
      call.end();
    });
  }
}
