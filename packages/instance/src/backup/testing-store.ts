/** For tests: an object store of Azure's kind that can be stopped, hung, and given another key. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, copyFileSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '@pgherd/postgres/testing';
import { tlsFiles } from '../database/layout.ts';
import { makeTls } from '../testing.ts';

const PROGRAM = fileURLToPath(import.meta.resolve('@pgherd/postgres/testing-azure'));
const BUCKET = 'backups';
const MB = 1 << 20;

/** A key that the service takes, made of a few letters. */
export const storeKey = (seed: string) => createHash('sha512').update(seed).digest('base64');

export class TestStore {
  readonly name: string;
  /** A file system of its own. */
  readonly #volume: string;
  readonly #certificate: string;
  /** What it knows of its content: it does not survive a volume that is full. */
  readonly #index: string;
  #port = 0;
  #child: ChildProcess | undefined;

  constructor(name: string, volume: string, folder: string) {
    this.name = name;
    this.#volume = volume;
    this.#certificate = join(folder, `certificate-${name}`);
    this.#index = join(folder, `index-${name}`);
  }

  /** The certificate of its authority. */
  get ca(): string {
    return join(this.#certificate, 'ca.crt');
  }

  /** As it stands in spec.backup.repositories; its secrets are `key` and `ca.crt` of the Secret of its name. */
  get repository(): object {
    const secret = (key: string) => ({ name: this.name, key });
    return {
      name: this.name,
      azure: {
        account: this.name,
        container: BUCKET,
        endpoint: `localhost:${this.#port}`,
        uriStyle: 'path',
        credentials: { key: secret('key') },
        ca: secret('ca.crt'),
      },
    };
  }

  async prepare(): Promise<void> {
    makeTls(this.#certificate, ['localhost']);
    const { serverCert, serverKey } = tlsFiles(this.#certificate);
    copyFileSync(serverCert, join(this.#certificate, 'tls.crt'));
    copyFileSync(serverKey, join(this.#certificate, 'tls.key'));
    mkdirSync(join(this.#volume, 'data'));
    mkdirSync(this.#index);
    this.#port = await freePort();
  }

  /** Resolves once it answers. */
  async start(key: string): Promise<void> {
    const child = spawn(process.execPath, ['--disable-warning=DEP0040', PROGRAM], {
      stdio: ['ignore', 'pipe', process.env.PGHERD_TEST_LOG ? 'inherit' : 'ignore'],
      env: {
        ...process.env,
        STORE_KEY: this.name,
        STORE_SECRET: key,
        STORE_BUCKET: BUCKET,
        STORE_PORT: String(this.#port),
        STORE_ADDRESS: '127.0.0.1',
        STORE_DATA: join(this.#volume, 'data'),
        STORE_INDEX: this.#index,
        STORE_CERTIFICATE: this.#certificate,
      },
    });
    this.#child = child;
    await new Promise<void>((resolve, reject) => {
      child.stdout.on('data', (chunk: Buffer) => chunk.toString().includes('open') && resolve());
      child.once('exit', (code) => reject(new Error(`the store ended with code ${code}`)));
    });
  }

  /** Ends in order: what it holds is on disk. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  }

  /** It takes connections, and answers nothing. */
  hang(): void {
    this.#child?.kill('SIGSTOP');
  }

  goOn(): void {
    this.#child?.kill('SIGCONT');
  }
}

/** Takes all the room that is left on a file system, with this file. */
export function fillVolume(path: string): void {
  const file = openSync(path, 'a');
  try {
    for (let part = MB; part >= 1; part >>= 8) fillBy(file, Buffer.alloc(part));
  } finally {
    closeSync(file);
  }
}

function fillBy(file: number, part: Buffer): void {
  try {
    for (;;) writeSync(file, part);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
}
