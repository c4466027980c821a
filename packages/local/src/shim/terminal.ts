import { type ChildProcess, spawn } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { withDescendants } from '../net/processes.ts';

/** The command that runs another in a terminal of its own. */
export function inTerminal(command: string[]): string[] {
  return ['script', '-qefc', quoted(command), '/dev/null'];
}

function quoted(command: string[]): string {
  return command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
}

/** How often and how long apart a terminal is looked for that `script` is still making. */
const TERMINAL_TRIES = 40;
const TERMINAL_WAIT_MS = 25;

/** Tells the terminal of an exec how large the user's is. */
export async function resizeTerminal(child: ChildProcess, inside: string[], data: Buffer): Promise<void> {
  const { Width, Height } = JSON.parse(data.toString()) as { Width: number; Height: number };
  if (!Width || !Height) return;
  for (let tries = 0; tries < TERMINAL_TRIES && child.exitCode === null; tries++) {
    const terminal = terminalOf(child.pid);
    if (terminal) {
      const [program, ...args] = [...inside, 'stty', '-F', terminal, 'cols', `${Width}`, 'rows', `${Height}`];
      spawn(program!, args, { stdio: 'ignore', cwd: '/' }).on('error', () => {});
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, TERMINAL_WAIT_MS));
  }
}

function terminalOf(pid: number | undefined): string | undefined {
  if (pid === undefined) return undefined;
  for (const each of withDescendants([pid])) {
    try {
      const target = readlinkSync(`/proc/${each}/fd/0`);
      if (target.startsWith('/dev/pts/')) return target;
    } catch {
      // It has just ended.
    }
  }
  return undefined;
}
