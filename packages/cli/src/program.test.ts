import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Command } from 'commander';
import { makeProgram } from './program.ts';

function leaves(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
}

function help(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut: (chunk) => {
      text += chunk;
    },
  });
  command.outputHelp();
  return text;
}

for (const command of leaves(makeProgram())) {
  const path: string[] = [];
  for (let at: Command | null = command; at; at = at.parent) path.unshift(at.name());
  test(`${path.join(' ')} --help has an example and fits into 80 columns`, () => {
    const text = help(command);
    assert.match(text, /\nExample:\n {2}\S/);
    for (const line of text.split('\n')) assert.ok(line.length <= 80, line);
  });
}

test('an unknown command is refused', async () => {
  const program = makeProgram();
  program.configureOutput({ writeErr: () => {} });
  await assert.rejects(program.parseAsync(['node', 'pgherd', 'statsu']), {
    code: 'commander.unknownCommand',
  });
});

test('an option that is given nothing is refused: it may be a variable that is not set', async () => {
  const program = makeProgram();
  const restore = ['node', 'pgherd', 'restore', 'demo', '--yes', '--pitr-target', ''];
  await assert.rejects(program.parseAsync(restore), { code: 'usage', message: /--pitr-target is given/ });
});
