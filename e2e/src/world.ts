/** Where scenarios run: a local mode of their own making, or the cluster of a kubeconfig. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { DEFAULT_POSTGRES_IMAGE, OPERATOR_IMAGE } from '@pgherd/api';
import { bringUp } from '@pgherd/cli';
import { Client, type Deployment, kinds } from '@pgherd/kube';
import { loadKubeconfig } from '@pgherd/kube/kubeconfig';
import { reset } from '@pgherd/local';

const CLI = join(import.meta.dirname, '..', '..', 'packages', 'cli', 'src', 'main.ts');

export interface CommandResult {
  code: number;
  stdout: string;
  stderr: string;
}

export interface World {
  kubeconfig: string;
  client: Client;
  /** The state folder of local mode; undefined on another cluster. */
  state: string | undefined;
  /** Class of all volumes; undefined: the default one of the cluster. */
  storageClass: string | undefined;
  /** Where images other than those of the installation come from; undefined: the names that pgherd has built in. */
  imageRegistry: string | undefined;
  /** The name of one of our images, as nodes of this world can fetch it. */
  image(name: 'pgherd' | 'postgresql'): string;
  /** Done first when it is stopped, also by an interrupt. */
  closing: (() => Promise<void>)[];
  stop(): Promise<void>;
}

interface Stoppable {
  stop(): Promise<void>;
}

/** Worlds that this process has started and not yet ended, so that an interrupt can end them. */
const running = new Set<Stoppable>();

/** How to use a cluster that is there. */
export interface JoinOptions {
  kubeconfig: string;
  context?: string;
  storageClass?: string;
  imageRegistry?: string;
}

const BUILT_IN = { pgherd: OPERATOR_IMAGE, postgresql: DEFAULT_POSTGRES_IMAGE };

/** Starts a local mode in a temporary folder. */
export async function startLocalWorld(label: string, nodes = 3): Promise<World> {
  const state = mkdtempSync(join(tmpdir(), `pgherd-${label}-`));
  const closing: World['closing'] = [];
  const starting: Stoppable = {
    async stop() {
      running.delete(starting);
      for (const close of closing) await close();
      await reset({ state });
      rmSync(state, { recursive: true, force: true });
    },
  };
  // From the first moment: an interrupt may come while it starts.
  running.add(starting);
  try {
    const { info, client } = await bringUp({ state, nodes });
    const stop = async (): Promise<void> => {
      client.close();
      await starting.stop();
    };
    const image: World['image'] = (name) => BUILT_IN[name];
    const ownClass = { storageClass: undefined, imageRegistry: undefined };
    return { kubeconfig: info.kubeconfig, client, state, stop, closing, image, ...ownClass };
  } catch (error) {
    await starting.stop().catch(() => {});
    throw error;
  }
}

/** Uses a cluster that is there; with the operator in it, unless `bare`. */
export async function joinWorld(options: JoinOptions, bare = false): Promise<World> {
  const { context, storageClass, imageRegistry } = options;
  const own = context ? await kubeconfigOf(options.kubeconfig, context) : undefined;
  const kubeconfig = own ?? resolve(options.kubeconfig);
  const config = await loadKubeconfig({ path: kubeconfig });
  const client = new Client({ ...config, userAgent: 'pgherd-e2e' });
  const deployment = bare ? undefined : await operatorDeployment(client);
  const operator = deployment?.spec.template.spec.containers[0]?.image;
  const registry = imageRegistry?.replace(/\/$/, '');
  return {
    kubeconfig,
    client,
    state: undefined,
    storageClass,
    imageRegistry: registry,
    image(name) {
      if (name === 'pgherd' && operator) return operator;
      return registry ? `${registry}/${BUILT_IN[name].split('/').at(-1)}` : BUILT_IN[name];
    },
    closing: [],
    async stop() {
      client.close();
      if (own) rmSync(dirname(own), { recursive: true, force: true });
    },
  };
}

/** A kubeconfig of one context alone: kubectl, `pgherd` and we then all mean the same cluster. */
async function kubeconfigOf(path: string, context: string): Promise<string> {
  const args = ['config', 'view', '--raw', '--flatten', '--minify', '--context', context];
  const env = { ...process.env, KUBECONFIG: path };
  const { code, stdout, stderr } = await run('kubectl', args, { env });
  if (code !== 0) throw new Error(`reading the context ${context} of ${path}: ${stderr}`);
  const file = join(mkdtempSync(join(tmpdir(), 'pgherd-e2e-')), 'kubeconfig');
  writeFileSync(file, stdout, { mode: 0o600 });
  return file;
}

/** The Deployment of the operator, in whichever namespace it is. */
export async function operatorDeployment(client: Client): Promise<Deployment> {
  const labelSelector = 'app.kubernetes.io/name=pgherd,app.kubernetes.io/component=operator';
  const { items } = await client.list(kinds.Deployment, { labelSelector });
  if (items.length !== 1)
    throw new Error(
      `there are ${items.length} Deployments of the operator instead of one: install it first (docs/kubernetes.md)`,
    );
  return items[0] as Deployment;
}

/** Ends what is still running. */
export async function stopAllWorlds(): Promise<void> {
  await Promise.allSettled([...running].map((world) => world.stop()));
}

/** Runs `pgherd` as a user does; never throws for its exit code. */
export function runCli(
  world: World,
  args: string[],
  options: { input?: string; timeoutMs?: number } = {},
): Promise<CommandResult> {
  const env: NodeJS.ProcessEnv = { ...process.env, KUBECONFIG: world.kubeconfig, NO_COLOR: '1' };
  if (world.state) env.PGHERD_STATE = world.state;
  return run(process.execPath, [CLI, ...args], { ...options, env });
}

/** Runs kubectl against the world; never throws for its exit code. */
export function kubectl(
  world: World,
  args: string[],
  options: { input?: string; timeoutMs?: number; env?: Record<string, string> } = {},
): Promise<CommandResult> {
  const env = { ...process.env, ...options.env, KUBECONFIG: world.kubeconfig };
  return run('kubectl', args, { ...options, env });
}

function run(
  command: string,
  args: string[],
  options: { input?: string; timeoutMs?: number; env: NodeJS.ProcessEnv },
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: options.env,
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: options.timeoutMs ?? 60_000,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code, signal) =>
      resolve({ code: code ?? 128, stdout, stderr: signal ? `${stderr}\n(${signal})` : stderr }),
    );
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
  });
}

/** The last lines of a file, for reports of failures; empty when it cannot be read. */
export function tail(path: string, lines: number): string {
  try {
    return readFileSync(path, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  } catch {
    return '';
  }
}
