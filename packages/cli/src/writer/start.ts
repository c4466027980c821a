/** Starts the writer as a process on this machine. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { LineSplitter } from '../log-lines.ts';
import { embedded } from '../programs/embedded.ts';
import { programText } from '../programs/files.ts';
import { Recording } from './recording.ts';
import { SETTINGS_VARIABLE, type WriterSettings } from './settings.ts';

export interface RunningWriter {
  recording: Recording;
  /** Ends the writer and resolves once all it said has been taken. */
  stop(): Promise<Recording>;
}

/** How long a writer may take to end: it finishes at most one write. */
const STOP_MS = 5_000;

/**
 * Starts writing at once.
 *
 * @param wrap the command line that runs another one where the writer is to be, for example inside a namespace
 */
export async function startWriter(
  settings: WriterSettings,
  wrap: (command: string[]) => [string, string[]] = ([first = '', ...rest]) => [first, rest],
): Promise<RunningWriter> {
  const recording = new Recording();
  const text = embedded && (await programText('writer.mjs'));
  const [program, args] = wrap([
    process.execPath,
    ...(text ? ['--input-type=module', '-'] : [join(import.meta.dirname, 'main.ts')]),
  ]);
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, [SETTINGS_VARIABLE]: JSON.stringify(settings) },
  });
  child.stdin.end(text ?? '');
  const lines = new LineSplitter();
  child.stdout.on('data', (chunk: Buffer) => {
    for (const line of lines.push(chunk)) recording.take(line);
  });
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const killer = () => child.kill('SIGKILL');
  process.once('exit', killer);
  return {
    recording,
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      await closed;
      clearTimeout(timer);
      process.off('exit', killer);
      for (const line of lines.end()) recording.take(line);
      return recording;
    },
  };
}
