import type { Command } from 'commander';
import { getCluster } from '../clusters.ts';
import { connect } from '../connection.ts';
import { type OperationOptions, performOperation, withOperation } from '../operations.ts';
import { example } from '../options.ts';

/** `pgherd restart` and `pgherd reload`. */
export function addRestart(program: Command): void {
  const restart = program
    .command('restart')
    .description('Restart PostgreSQL: replicas first, the primary last and by a switchover')
    .argument('<name>', 'cluster')
    .argument('[instance]', 'only this instance');
  withOperation(restart, '30m').action(runRestart);
  example(restart, 'pgherd restart demo', 'pgherd restart demo demo-2');

  const reload = program
    .command('reload')
    .description('Have every instance read its settings, certificates and passwords again')
    .argument('<name>', 'cluster');
  withOperation(reload, '2m').action(runReload);
  example(reload, 'pgherd reload demo');
}

async function runRestart(
  name: string,
  instance: string | undefined,
  options: OperationOptions,
): Promise<void> {
  const { client, namespace } = await connect(options);
  await getCluster(client, namespace, name);
  await performOperation({ cluster: name, type: 'Restart', restart: instance ? { instance } : {} }, options);
}

async function runReload(name: string, options: OperationOptions): Promise<void> {
  const { client, namespace } = await connect(options);
  await getCluster(client, namespace, name);
  await performOperation({ cluster: name, type: 'Reload', reload: {} }, options);
}
