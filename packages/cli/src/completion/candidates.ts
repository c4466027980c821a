/** What may stand at a place of the command line. Pure. */
import type { Argument, Command, Option } from 'commander';

export interface Candidates {
  /** Words that may stand there. */
  words: string[];
  /** The place is for the name of something in the cluster, which only the API knows. */
  names?: 'cluster' | 'namespace';
}

/** `words` are those after the program's name; the last is the one being written, maybe empty. */
export function candidatesFor(program: Command, words: string[]): Candidates {
  const { command, given, open } = walk(program, words.slice(0, -1));
  if (open) return valuesOf(open);
  const current = words.at(-1) ?? '';
  if (current.startsWith('-')) return { words: [...optionsOf(command), '--help'] };
  if (command.commands.length > 0) {
    return { words: command.commands.filter((each) => !isHidden(each)).map((each) => each.name()) };
  }
  const { registeredArguments } = command;
  const argument = registeredArguments[Math.min(given, registeredArguments.length - 1)];
  if (!argument || (given >= registeredArguments.length && !argument.variadic)) return { words: [] };
  return valuesOf(argument);
}

interface Place {
  command: Command;
  /** How many arguments stand before. */
  given: number;
  /** The option whose value comes next. */
  open?: Option;
}

function walk(program: Command, words: string[]): Place {
  const place: Place = { command: program, given: 0 };
  for (const word of words) {
    if (place.open) {
      delete place.open;
    } else if (word.startsWith('-')) {
      const option = place.command.options.find(({ long, short }) => word === long || word === short);
      if (option?.required && !word.includes('=')) place.open = option;
    } else {
      const next = place.command.commands.find(
        (each) => each.name() === word || each.aliases().includes(word),
      );
      if (next) {
        place.command = next;
        place.given = 0;
      } else place.given++;
    }
  }
  return place;
}

function valuesOf(place: Option | Argument): Candidates {
  if (place.argChoices) return { words: place.argChoices };
  const name = 'long' in place ? place.attributeName() : place.name();
  if (name === 'namespace') return { words: [], names: 'namespace' };
  return place.description.startsWith('cluster') ? { words: [], names: 'cluster' } : { words: [] };
}

function optionsOf(command: Command): string[] {
  return command.options
    .filter((each) => !each.hidden)
    .map((each) => each.long ?? each.short ?? '')
    .filter(Boolean);
}

function isHidden(command: Command): boolean {
  return command.name().startsWith('__');
}
