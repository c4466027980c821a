/** Where scenarios run: a local mode of their own making, or the cluster of a kubeconfig. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bringUp } from '@pgherd/cli';
import { Client } from '@pgherd/kube';
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
  stop(): Promise<void>;
}

interface Stoppable {
  stop(): Promise<void>;
}

/** Worlds that this process has started and not yet ended, so that an interrupt can end them. */
const running = new Set<Stoppable>();

/** Starts a local mode in a temporary folder. */
export async function startLocalWorld(label: string, nodes = 3): Promise<World> {
  const state = mkdtempSync(join(tmpdir(), `pgherd-${label}-`));
  const starting: Stoppable = {
    async stop() {
      running.delete(starting);
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
    return { kubeconfig: info.kubeconfig, client, state, stop };
  } catch (error) {
    await starting.stop().catch(() => {});
    throw error;
  }
}

/** Uses a cluster that is there, with the operator in it. */
export async function joinWorld(kubeconfig: string, context?: string): Promise<World> {
  const config = await loadKubeconfig({ path: kubeconfig, context });
  const client = new Client({ ...config, userAgent: 'pgherd-e2e' });
  return { kubeconfig, client, state: undefined, stop: async () => client.close() };
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
