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

export class RepositoryPod {
  readonly #o: RepositoryPodOptions;

  constructor(options: RepositoryPodOptions) {
    this.#o = options;
  }

  /** The answer to a question. Rejects with its words, or with why it is not reached. */
  ask(method: 'GET' | 'POST', path: string, timeoutMs: number, body?: unknown): Promise<unknown> {
    const { cluster, namespace } = this.#o;
    const { ca, clientCert: cert, clientKey: key } = this.#o.tls();
    const host = `${names(cluster).backup}.${namespace}.svc`;
    const signal = AbortSignal.timeout(timeoutMs);
    return new Promise((resolve, reject) => {
      const call = request({ method, host, port: MANAGER_PORT, path, ca, cert, key, signal }, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        answer.on('error', reject);
        answer.on('end', () => {
          const said = parsed(text);
          if (answer.statusCode === 200) return resolve(said);
          reject(new Error(said?.error ?? `the repository pod answers with status ${answer.statusCode}`));
        });
      });
      call.on('error', (error) =>
        reject(new Error(`the repository pod ${host} is not reached: ${error.message}`)),
      );
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

function parsed(text: string): { error?: string } | undefined {
  try {
    return JSON.parse(text) as { error?: string };
  } catch {
    return undefined;
  }
}
