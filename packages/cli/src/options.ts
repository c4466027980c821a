/** Options that many commands share, worded once. */
import { type Command, InvalidArgumentError, Option } from 'commander';

/** Adds -n, --kubeconfig and --context. */
export function withConnection(command: Command): Command {
  return command
    .option('-n, --namespace <name>', "namespace (default: that of the kubeconfig's context)")
    .option('--kubeconfig <file>', 'kubeconfig to use (default: KUBECONFIG, ~/.kube/config, local mode)')
    .option('--context <name>', 'context of the kubeconfig');
}

/** Adds -o with the formats a command knows. */
export function withOutput(command: Command, formats: string[] = ['json']): Command {
  return command.addOption(
    new Option('-o, --output <format>', 'print for programs instead of people').choices(formats),
  );
}

/** Adds --state for the commands of local mode. */
export function withState(command: Command): Command {
  return command.option('--state <dir>', 'state folder (default: PGHERD_STATE, or that of this user)');
}

/** Adds an `Example` paragraph to --help. */
export function example(command: Command, ...lines: string[]): Command {
  return command.addHelpText('after', `\nExample:\n${lines.map((line) => `  ${line}`).join('\n')}`);
}

/** Reads a duration such as `30s`, `5m` or `1h` (a bare number is seconds) into milliseconds. */
export function duration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  if (!match || Number(match[1]) === 0) throw new InvalidArgumentError('Write it as 30s, 5m or 1h.');
  const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match[2] ?? 's'] ?? 1000;
  return Number(match[1]) * unit;
}

/** An option for how long to wait, whose default reads as people write it. */
export function timeoutOption(what: string, defaultText: string): Option {
  return new Option('--timeout <time>', what).argParser(duration).default(duration(defaultText), defaultText);
}

/** Reads a whole number of at least `least`. */
export function whole(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < least) {
      throw new InvalidArgumentError(`It must be a whole number of at least ${least}.`);
    }
    return value;
  };
}
