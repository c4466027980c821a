import type { Session } from '@pgherd/postgres';
import type { TestCluster } from './testing-cluster.ts';

/** A client that inserts into table t wherever -rw leads, and remembers what was acknowledged. */
export class Writer {
  readonly acked: { id: number; at: number }[] = [];
  readonly #cluster: TestCluster;
  #session: Session | undefined;
  #stopped = false;
  readonly #done: Promise<void>;
  static #id = 0;

  constructor(cluster: TestCluster) {
    this.#cluster = cluster;
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
    this.#session?.close();
  }

  /** Longest time without an acknowledged write after a moment. */
  outageSince(at: number): number {
    const times = [at, ...this.acked.map((each) => each.at).filter((time) => time > at)];
    return Math.max(...times.slice(1).map((time, i) => time - times[i]!));
  }

  async #run(): Promise<void> {
    // While the API is away, the way that was known last.
    let instance: string | undefined;
    while (!this.#stopped) {
      try {
        if (!this.#session) {
          instance = (await this.#cluster.writeService().catch(() => ({ instance }))).instance;
          this.#session = await this.#cluster.connect(instance!, 300);
        }
        const id = ++Writer.#id;
        await this.#session.query('insert into t values ($1)', [id], 300);
        this.acked.push({ id, at: performance.now() });
      } catch {
        this.#session?.close();
        this.#session = undefined;
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}
