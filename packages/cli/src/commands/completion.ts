import type { Command, Option } from 'commander';
import { CliError } from '../errors.ts';
import { example } from '../options.ts';
import { print } from '../output.ts';

type Shell = 'bash' | 'zsh' | 'fish';

/** What can follow each command, by its words: `local node` → `list stop ...`. */
type Words = Map<string, string[]>;

/** `pgherd completion`. */
export function addCompletion(program: Command): void {
  const command = program
    .command('completion')
    .description('Print a script that completes commands in your shell')
    .argument('<shell>', 'bash, zsh or fish');
  command.action((shell: string) => {
    const words = wordsOf(program);
    const make = { bash: bashScript, zsh: zshScript, fish: fishScript }[shell as Shell];
    if (!make) {
      throw new CliError('usage', `There is no completion for ${shell}.`, {
        hint: 'Choose bash, zsh or fish.',
      });
    }
    print(make(program.name(), words));
  });
  example(command, 'source <(pgherd completion bash)', 'pgherd completion fish | source');
}

function wordsOf(program: Command): Words {
  const words: Words = new Map();
  const visit = (command: Command, path: string[]) => {
    const options = command.options
      .filter((each: Option) => !each.hidden)
      .map((each) => each.long ?? each.short ?? '');
    words.set(
      path.join(' '),
      [...command.commands.map((each) => each.name()), ...options, '--help'].filter(Boolean),
    );
    for (const child of command.commands) visit(child, [...path, child.name()]);
  };
  visit(program, []);
  return words;
}

function bashScript(name: string, words: Words): string {
  const cases = [...words].map(([path, next]) => `    '${path}') next='${next.join(' ')}' ;;`);
  return `_${name}() {
  local path='' next='' word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case "$word" in -*) continue ;; esac
    case "\${path:+$path }$word" in ${[...words.keys()]
      .filter(Boolean)
      .map((path) => `'${path}'`)
      .join('|')}) path="\${path:+$path }$word" ;; esac
  done
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$next" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _${name} ${name}`;
}

function zshScript(name: string, words: Words): string {
  return `autoload -Uz bashcompinit && bashcompinit\n${bashScript(name, words)}`;
}

function fishScript(name: string, words: Words): string {
  const lines = [`complete -c ${name} -f`];
  for (const [path, next] of words) {
    const seen =
      path === '' ? '__fish_use_subcommand' : `__fish_seen_subcommand_from ${path.split(' ').at(-1)}`;
    for (const word of next) {
      lines.push(
        word.startsWith('--')
          ? `complete -c ${name} -n '${seen}' -l ${word.slice(2)}`
          : `complete -c ${name} -n '${seen}' -a ${word}`,
      );
    }
  }
  return lines.join('\n');
}
