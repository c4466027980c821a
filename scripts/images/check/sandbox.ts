/** Programs of an unpacked image, run as a restricted pod would run them: no root, no network, nothing writable. */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { userInfo } from 'node:os';

export interface Sandbox {
  /** The unpacked root file system; read-only inside. */
  root: string;
  uid: number;
  env?: string[];
  /** Inside → outside, read-only. */
  mounts?: Record<string, string>;
  /** Inside → outside, writable; as root the folders must belong to `uid`. */
  volumes?: Record<string, string>;
  /** The program is process 1 of its container. */
  asInit?: boolean;
  timeoutMs?: number;
}

/** Runs a command to its end or to the time limit (10 s unless said), and returns what it printed. */
export function inSandbox(sandbox: Sandbox, command: string[]): SpawnSyncReturns<string> {
  const uid = String(sandbox.uid);
  const bwrap = [
    'bwrap',
    '--unshare-all',
    '--die-with-parent',
    '--new-session',
    ...(sandbox.asInit ? ['--as-pid-1'] : []),
    ...['--uid', uid, '--gid', uid],
    ...['--ro-bind', sandbox.root, '/'],
    ...pairs('--ro-bind', sandbox.mounts),
    ...['--dev', '/dev', '--proc', '/proc', '--tmpfs', '/tmp', '--tmpfs', '/run'],
    ...pairs('--bind', sandbox.volumes),
    '--clearenv',
    ...(sandbox.env ?? []).flatMap((pair) => {
      const at = pair.indexOf('=');
      return ['--setenv', pair.slice(0, at), pair.slice(at + 1)];
    }),
    '--',
    ...command,
  ];
  const drop = ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
  const [program, ...args] = (userInfo().uid === 0 ? [...drop, ...bwrap] : bwrap) as [string, ...string[]];
  return spawnSync(program, args, {
    encoding: 'utf8',
    timeout: sandbox.timeoutMs ?? 10_000,
    // bwrap as process 1 takes no other; its child dies with it.
    killSignal: 'SIGKILL',
  });
}

/** Runs a command that must succeed and returns its standard output, trimmed. */
export function outputOf(sandbox: Sandbox, command: string[]): string {
  const result = inSandbox(sandbox, command);
  if (result.status === 0) return result.stdout.trim();
  throw new Error(
    `${command.join(' ')} ended with ${result.signal ?? result.status}:\n${result.stdout}\n${result.stderr}`,
  );
}

function pairs(option: string, mounts: Record<string, string> = {}): string[] {
  return Object.entries(mounts).flatMap(([inside, outside]) => [option, outside, inside]);
}
