import type { Command } from 'commander';
import { getCluster } from '../clusters.ts';
import { type ConnectionOptions, connect } from '../connection.ts';
import { CliError } from '../errors.ts';
import { ClusterKind } from '../kinds.ts';
import { example, withConnection } from '../options.ts';
import { print } from '../output.ts';

/** `pgherd label`. */
export function addLabel(program: Command): void {
  const command = program
    .command('label')
    .description('Set or remove labels of a cluster')
    .argument('<name>', 'cluster')
    .argument('<labels...>', 'key=value to set, key- to remove');
  withConnection(command).action(label);
  example(command, 'pgherd label demo team=shop', 'pgherd label demo team-');
}

async function label(name: string, words: string[], options: ConnectionOptions): Promise<void> {
  const labels = labelsOf(words);
  const { client, namespace } = await connect(options);
  await getCluster(client, namespace, name);
  await client.patch(
    ClusterKind,
    { namespace, name },
    {
      type: 'merge',
      body: { metadata: { labels } },
      fieldManager: 'pgherd',
    },
  );
  print(`cluster ${name} labelled`);
}

/** `a=b` and `c-` as a merge patch of labels. */
function labelsOf(words: string[]): Record<string, string | null> {
  return Object.fromEntries(
    words.map((word): [string, string | null] => {
      const at = word.indexOf('=');
      if (at > 0) return [word.slice(0, at), word.slice(at + 1)];
      if (word.endsWith('-') && word.length > 1) return [word.slice(0, -1), null];
      throw new CliError('usage', `${word} is no label.`, {
        hint: 'Write key=value to set one, key- to remove it.',
      });
    }),
  );
}
