/** Asks the other instances: for their reports, for grants and promises; over mutual TLS, with a short deadline. */
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

const LONGEST_ANSWER = 1 << 20;
/** An answer that comes later than that says nothing about now. */
const LATE_MS = 2_000;
/** Questions that are not answered yet must not hold up others to the same peer. */
const MOST_AT_ONCE = 16;

export class PeersClient {
  readonly #o: PeersClientOptions;
  #agent: Agent | undefined;
  #tls: PeerTls | undefined;

  constructor(options: PeersClientOptions) {
    this.#o = options;
  }

  /**
   * Asks for reports. Resolves when all have answered or failed, or when the time is up; who answers late is still told
   * of. Who answers as somebody else has not answered.
   */
  async ask(
    peers: { name: string; address: string }[],
    timeoutMs: number,
    tell: (name: string, report: InstanceReport) => void,
  ): Promise<void> {
    const late = Math.max(timeoutMs, LATE_MS);
    const answers = peers.map(async ({ name, address }) => {
      const asked = this.call<InstanceReport>(address, { path: '/status', timeoutMs: late });
      const report = await asked.catch(() => undefined);
      if (report?.name === name) tell(name, report);
    });
    await within(Promise.all(answers), timeoutMs);
  }

  /** Has these instances prepare for a change of primary. What comes of it is not asked. */
  async prepare(addresses: string[], checkpoint: string, timeoutMs: number): Promise<void> {
    const calls = addresses.map((address) =>
      this.call(address, { path: '/prepare', body: { checkpoint }, timeoutMs }),
    );
    await Promise.allSettled(calls);
  }

  close(): void {
    this.#agent?.destroy();
  }

  #connection(): Agent {
    const tls = this.#o.tls();
    if (!this.#agent || tls.cert !== this.#tls?.cert || tls.ca !== this.#tls.ca) {
      // Questions that are under way come to their end.
      if (this.#agent) retire(this.#agent);
      this.#tls = tls;
      this.#agent = new Agent({
        ...tls,
        keepAlive: true,
        maxSockets: MOST_AT_ONCE,
        servername: names(this.#o.cluster).rw,
      });
    }
    return this.#agent;
  }

  /** One call: GET, or POST when there is a body. Rejects unless the answer is 200 with JSON, in time. */
  call<T>(address: string, o: { path: string; body?: object; timeoutMs: number }): Promise<T> {
    return new Promise((resolve, reject) => {
      const call = request({
        agent: this.#connection(),
        host: address,
        port: this.#o.port ?? MANAGER_PORT,
        method: o.body ? 'POST' : 'GET',
        path: o.path,
        signal: AbortSignal.timeout(o.timeoutMs),
      });
      call.on('error', reject);
      call.on('response', (answer) => {
        const chunks: Buffer[] = [];
        let size = 0;
        answer.on('error', reject);
        answer.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > LONGEST_ANSWER) call.destroy(new Error('the answer is too long'));
          else chunks.push(chunk);
        });
        answer.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          if (answer.statusCode !== 200) return reject(new Error(`${answer.statusCode}: ${text.trim()}`));
          try {
            resolve(JSON.parse(text) as T);
          } catch (error) {
            reject(error as Error);
          }
        });
      });
      call.end(o.body && JSON.stringify(o.body));
    });
  }
}

/** Resolves with the work, or when the time is up. */
async function within(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const up = new Promise((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, up]);
  clearTimeout(timer);
}

/** Ends the connections that nobody uses, and the others after their use. */
function retire(agent: Agent): void {
  agent.maxFreeSockets = 0;
  for (const sockets of Object.values(agent.freeSockets))
    for (const socket of [...(sockets ?? [])]) socket.destroy();
}
