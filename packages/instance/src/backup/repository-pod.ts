/** Asks the repository pod, over mutual TLS. */
import { request } from 'node:https';
import { type ArchiveReport, MANAGER_PORT, names } from '@pgherd/api';

export type RepositoryVolumes = NonNullable<ArchiveReport['volumes']>;

export interface RepositoryPodOptions {
  cluster: string;
  namespace: string;
  /** Our certificates, PEM. */
  tls(): { ca: string; clientCert: string; clientKey: string };
}

/** A pod whose node is gone says nothing at all: it is not waited for any longer than this. */
const CONNECT_MS = 10_000;
/** Volumes are looked at so often; while nobody answers, more often. */
const VOLUMES_MS = 15_000;
const VOLUMES_SOON_MS = 2_000;
const VOLUMES_TIMEOUT_MS = 5_000;
/** So many questions in a row may be lost: a pod that starts is silent for a moment. */
const MOST_LOST = 2;

export class RepositoryPod {
  readonly #o: RepositoryPodOptions;
  #volumes: RepositoryVolumes | undefined;
  /** How many questions in a row had no answer, and why the last one had none. */
  #lost = 0;
  #why = '';
  #notBefore = 0;

  constructor(options: RepositoryPodOptions) {
    this.#o = options;
  }

  /** The answer to a question. Rejects with its words, or with why it is not reached. */
  ask(method: 'GET' | 'POST', path: string, timeoutMs: number, body?: unknown): Promise<unknown> {
    const { cluster, namespace } = this.#o;
    const { ca, clientCert: cert, clientKey: key } = this.#o.tls();
    const host = `${names(cluster).backup}.${namespace}.svc`;
    return new Promise((resolve, reject) => {
      const fail = (why: string) => reject(new Error(`the repository pod ${host} is not reached: ${why}`));
      // A connection of its own: one that was kept may lead to a node that is gone.
      const target = { method, host, port: MANAGER_PORT, path, ca, cert, key, agent: false as const };
      const call = request(target, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        answer.on('error', (error) => fail(error.message));
        answer.on('end', () => {
          const said = parsed(text);
          if (answer.statusCode === 200) return resolve(said);
          reject(new Error(said?.error ?? `the repository pod answers with status ${answer.statusCode}`));
        });
      });
      const end = (ms: number, what: string) =>
        setTimeout(() => call.destroy(new Error(`no ${what} within ${ms / 1000} s`)), ms);
      const answer = end(timeoutMs, 'answer');
      const connection = end(Math.min(CONNECT_MS, timeoutMs), 'connection');
      call.on('socket', (socket) => socket.once('secureConnect', () => clearTimeout(connection)));
      call.on('error', (error) => fail(error.message));
      call.on('close', () => {
        for (const timer of [answer, connection]) clearTimeout(timer);
      });
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  /** Asks how full the volumes are, now and then, and does not wait for the answer. */
  look(): void {
    if (performance.now() < this.#notBefore) return;
    this.#notBefore = Number.POSITIVE_INFINITY;
    this.ask('GET', '/backrest/volumes', VOLUMES_TIMEOUT_MS)
      .then(
        (answer) => {
          this.#volumes = (answer as { volumes: RepositoryVolumes }).volumes;
          this.#lost = 0;
          return VOLUMES_MS;
        },
        (error: Error) => {
          this.#lost += 1;
          this.#why = error.message;
          return VOLUMES_SOON_MS;
        },
      )
      .then((ms) => {
        this.#notBefore = performance.now() + ms;
      });
  }

  /** Nobody needs it any more. */
  forget(): void {
    this.#volumes = undefined;
    this.#lost = 0;
  }

  /** What was said last of the volumes. */
  volumes(): RepositoryVolumes | undefined {
    return this.#volumes;
  }

  /** Why it is silent, where it is: of an idle database that would be known minutes later only. */
  problem(): string | undefined {
    return this.#lost > MOST_LOST ? this.#why : undefined;
  }
}

function parsed(text: string): { error?: string } | undefined {
  try {
    return JSON.parse(text) as { error?: string };
  } catch {
    return undefined;
  }
}
