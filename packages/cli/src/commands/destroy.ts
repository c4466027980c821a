import type { Command } from 'commander';
import { getCluster } from '../clusters.ts';
import { confirm } from '../confirm.ts';
import { connect } from '../connection.ts';
import { type OperationOptions, performOperation, withOperation } from '../operations.ts';
import { example } from '../options.ts';
import { print } from '../output.ts';

/** `pgherd destroy`. */
export function addDestroy(program: Command): void {
  const command = program
    .command('destroy')
    .description('Remove an instance with its volumes; a new one takes its place')
    .argument('<name>', 'cluster')
    .argument('<instance>', 'instance to remove, never the primary')
    .option('--keep-pvc', 'keep its volumes, no longer part of the cluster');
  withOperation(command, '15m').action(destroy);
  example(command, 'pgherd destroy demo demo-3', 'pgherd destroy demo demo-3 --keep-pvc --yes');
}

async function destroy(
  name: string,
  instance: string,
  options: OperationOptions & { keepPvc?: boolean },
): Promise<void> {
  const { client, namespace } = await connect(options);
  await getCluster(client, namespace, name);
  const keepVolumes = options.keepPvc === true;
  if (!options.yes)
    print(
      `This removes ${instance} from cluster ${name}${keepVolumes ? '; its volumes are kept' : ', with its volumes'}.`,
    );
  await confirm('Are you sure?', options);
  await performOperation({ cluster: name, type: 'Destroy', destroy: { instance, keepVolumes } }, options);
}
