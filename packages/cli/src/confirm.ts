import { createInterface } from 'node:readline/promises';
import { CliError } from './errors.ts';

/**
 * Asks on the terminal whether to go on; `yes` and `y` say so. Throws CliError `cancelled` for any other answer, and
 * when there is nobody to ask.
 */
export async function confirm(question: string, options: { yes?: boolean }): Promise<void> {
  if (options.yes) return;
  if (!process.stdin.isTTY) {
    throw new CliError(
      'cancelled',
      'Nothing was done: this needs a yes and there is no terminal to ask on.',
      {
        hint: 'Add --yes if you mean it.',
      },
    );
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`${question} (yes/no): `);
    if (!/^y(es)?$/i.test(answer.trim())) throw new CliError('cancelled', 'Nothing was done.');
  } finally {
    terminal.close();
  }
}
