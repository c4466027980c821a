import { kinds } from '@pgherd/kube';
import { Argument, type Command } from 'commander';
import { type Candidates, candidatesFor } from '../completion/candidates.ts';
import { completionScripts } from '../completion/scripts.ts';
import { connect } from '../connection.ts';
import { ClusterKind } from '../kinds.ts';
import { example } from '../options.ts';
import { print } from '../output.ts';

/** Nobody waits longer for a key that is not answered. */
const ASK_MS = 1500;

/** `pgherd completion`, and what its scripts ask. */
export function addCompletion(program: Command): void {
  const command = program
    .command('completion')
    .description('Print a script that completes commands in your shell')
    .addArgument(
      new Argument('<shell>', 'shell; kubectl: save it as kubectl_complete-pgherd on your PATH').choices(
        Object.keys(completionScripts),
      ),
    )
    .action((shell: keyof typeof completionScripts) => print(completionScripts[shell]));
  example(command, 'source <(pgherd completion bash)', 'pgherd completion fish | source');

  const answer = program
    .command('__complete', { hidden: true })
    .description('Print what may stand at the end of a command line')
    .argument('[words...]')
    .action(async (words: string[]) => {
      const current = words.at(-1) ?? '';
      const found = candidatesFor(program, words);
      const names = await namesOf(found, words).catch(() => []);
      for (const word of [...found.words, ...names]) if (word.startsWith(current)) print(word);
    });
  example(answer, 'pgherd __complete -- show cluster de');
}

async function namesOf({ names }: Candidates, words: string[]): Promise<string[]> {
  if (!names) return [];
  const { client, namespace } = await connect(connectionIn(words));
  const { items } =
    names === 'cluster'
      ? await client.list(ClusterKind, { namespace, timeoutMs: ASK_MS })
      : await client.list(kinds.Namespace, { timeoutMs: ASK_MS });
  client.close();
  return items.map(({ metadata }) => metadata.name);
}

/** The options of the line so far that say which cluster it is about. */
function connectionIn(words: string[]): { namespace?: string; kubeconfig?: string; context?: string } {
  const after = (...flags: string[]): string | undefined =>
    words.find((_, i) => flags.includes(words[i - 1] ?? ''));
  return {
    namespace: after('-n', '--namespace'),
    kubeconfig: after('--kubeconfig'),
    context: after('--context'),
  };
}
