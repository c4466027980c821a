#!/usr/bin/env node
/** The entry of `pgherd`, also installed as `kubectl-pgherd`. */
import { CommanderError } from 'commander';
import { exitCodes, readable } from './errors.ts';
import { paint, wrap } from './output.ts';
import { makeProgram } from './program.ts';

// `pgherd ... | head` closes the pipe early; that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

makeProgram()
  .parseAsync(process.argv)
  .catch((error) => {
    process.exitCode = report(error);
  });

/** Tells what went wrong on standard error and returns the exit code. */
function report(error: unknown): number {
  // Commander has already written its own message.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage;
  const { message, hint, exitCode } = readable(error);
  process.stderr.write(`${paint('red', 'pgherd:', process.stderr)} ${message}\n`);
  if (hint) process.stderr.write(`${wrap(`What to do: ${hint}`, '  ')}\n`);
  if (process.env.PGHERD_DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return exitCode;
}
