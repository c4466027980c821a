import { type ChildProcess, spawn } from 'node:child_process';
import { LocalError } from '../errors.ts';
import { isAlive, markedEnv, type ProcessRef, processRef, SYSTEM_PATH, signal } from './processes.ts';

/** A process that does nothing but keep a namespace: the router's, or a node's. */
export type Holder = ProcessRef;

const isRoot = (): boolean => process.geteuid?.() === 0;

/**
 * Starts the process that keeps the router's namespace: as root a network namespace, else a user namespace in
 * which we are root, and a network namespace of it.
 */
export async function startRouter(state: string): Promise<Holder> {
  return startHolder(state, 'router', 'unshare', isRoot() ? ['-n'] : ['-U', '-r', '-n']);
}

/** Starts the process that keeps a node's network namespace, in the router's user namespace. */
export async function startNode(state: string, router: Holder, name: string): Promise<Holder> {
  const [command, args] = enter(router, ['unshare', '-n'], { net: false });
  return startHolder(state, `holder-${name}`, command, args);
}

async function startHolder(state: string, role: string, command: string, args: string[]): Promise<Holder> {
  const child = spawn(command, [...args, 'sh', '-c', 'echo ready; exec sleep infinity >/dev/null'], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: markedEnv(state, role),
    cwd: '/',
  });
  await firstOutput(child, `${command} ${args.join(' ')}`);
  child.stdout?.destroy();
  child.stderr?.destroy();
  child.unref();
  const ref = processRef(child.pid!);
  if (!ref) throw new LocalError('NetworkFailed', `the process that keeps namespace ${role} ended at once`);
  return ref;
}

function firstOutput(child: ChildProcess, what: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let errors = '';
    child.stderr?.on('data', (chunk) => {
      errors += chunk;
    });
    child.stdout?.once('data', () => resolve());
    child.once('error', (cause) => reject(forbidden(what, String(cause), cause)));
    child.once('exit', (code) => reject(forbidden(what, errors.trim() || `exit code ${code}`)));
  });
}

function forbidden(what: string, why: string, cause?: unknown): LocalError {
  return new LocalError(
    'NamespacesForbidden',
    `making a network namespace (${what}): ${why}`,
    isRoot()
      ? 'in a container, run it with --privileged or CAP_SYS_ADMIN and CAP_NET_ADMIN'
      : 'allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces > 0, ' +
          'kernel.apparmor_restrict_unprivileged_userns=0), or run as root',
    { cause },
  );
}

/**
 * The command line that runs something inside a holder's namespaces, as root of them.
 * `net: false` enters only the user namespace (and nothing at all as root).
 */
export function enter(
  holder: Holder,
  command: string[],
  options: { net?: boolean; user?: boolean } = {},
): [string, string[]] {
  const flags: string[] = [];
  if (!isRoot() && options.user !== false) flags.push('-U', '--preserve-credentials');
  if (options.net !== false) flags.push('-n');
  if (flags.length === 0) return [command[0]!, command.slice(1)];
  return ['nsenter', ['-t', String(holder.pid), ...flags, '--', ...command]];
}

/** Runs a command inside a holder's namespaces with text on its standard input, and returns its output. */
export async function runInside(
  holder: Holder,
  command: string[],
  input = '',
  options: { user?: boolean } = {},
): Promise<string> {
  const [program, args] = enter(holder, command, options);
  return run(program, args, input);
}

/** Runs a program to its end. @throws LocalError NetworkFailed with what it said */
export function run(program: string, args: string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { PATH: SYSTEM_PATH, LC_ALL: 'C' },
    });
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      errors += chunk;
    });
    // A program that ends without reading its input says why on stderr.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.once('error', (cause) =>
      reject(new LocalError('NetworkFailed', `running ${program}`, '', { cause })),
    );
    child.once('close', (code) => {
      if (code === 0) resolve(output);
      else reject(new LocalError('NetworkFailed', `${program} ${args.join(' ')}: ${errors.trim() || code}`));
    });
  });
}

export function holderAlive(holder: Holder | undefined): holder is Holder {
  return isAlive(holder);
}

export function stopHolder(holder: Holder | undefined): void {
  signal(holder, 'SIGKILL');
}
