/** Other people's programs, run to their end. */
import { type SpawnSyncOptions, spawnSync } from 'node:child_process';
import { ImageError } from './errors.ts';

/** Runs a program and returns what it printed. Throws ImageError with the end of its complaint when it fails. */
export function run(command: string, args: string[], options: SpawnSyncOptions = {}): string {
  const result = spawnSync(command, args, {
    maxBuffer: 256 * 1024 * 1024,
    ...options,
    encoding: 'utf8',
  });
  if (result.error)
    throw new ImageError('command', `${command} could not be started`, { cause: result.error });
  if (result.status !== 0) {
    const words = `${result.stdout ?? ''}\n${result.stderr ?? ''}`.trim().split('\n').slice(-12).join('\n  ');
    const how = result.signal ? `was ended by ${result.signal}` : `ended with code ${result.status}`;
    throw new ImageError('command', `${command} ${how}:\n  ${words}`);
  }
  return result.stdout as string;
}

/** One line of progress for the person who waits. */
export function say(text: string): void {
  process.stdout.write(`» ${text}\n`);
}
