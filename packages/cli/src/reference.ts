/** The page docs/reference/pgherd.md: every command with its options, from the commands themselves. */
import type { Command } from 'commander';
import { makeProgram } from './program.ts';

/** The generated files of this package as they ought to be; paths are relative to the repository. */
export function generatedFiles(): { path: string; content: string }[] {
  return [{ path: 'docs/reference/pgherd.md', content: page(makeProgram()) }];
}

function page(program: Command): string {
  const sections = leaves(program).map(
    (command) => `## ${nameOf(command)}\n\n\`\`\`text\n${help(command)}\`\`\`\n`,
  );
  return [
    '<!-- Generated from the commands by npm run generate: do not edit. -->',
    '# The commands of pgherd',
    '',
    'In a checkout they are called as `npx pgherd ...`. As a plugin of kubectl: `kubectl pgherd ...`.',
    '',
    '```text',
    `${help(program)}\`\`\``,
    '',
    ...sections,
  ].join('\n');
}

function leaves(command: Command): Command[] {
  if (command.commands.length === 0) return [command];
  // What only scripts ask begins so.
  return command.commands.filter((each) => !each.name().startsWith('__')).flatMap(leaves);
}

function nameOf(command: Command): string {
  return command.parent ? `${nameOf(command.parent)} ${command.name()}` : command.name();
}

function help(command: Command): string {
  let text = '';
  command.configureHelp({ ...command.configureHelp(), helpWidth: 80 });
  command.configureOutput({
    writeOut: (chunk) => {
      text += chunk;
    },
  });
  command.outputHelp();
  return text;
}
