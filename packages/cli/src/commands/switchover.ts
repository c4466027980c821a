import { type Command, Option } from 'commander';
import { lossText, acceptLoss as promoteWithLoss } from '../accept-loss.ts';
import { getCluster, requireInstance } from '../clusters.ts';
import { confirm } from '../confirm.ts';
import { connect } from '../connection.ts';
import { CliError } from '../errors.ts';
import { type OperationOptions, performOperation, withOperation } from '../operations.ts';
import { example } from '../options.ts';
import { print, printJson } from '../output.ts';
import { printReplicas, replicasOf } from '../replicas.ts';
import { observe } from '../status/observe.ts';
import { viewOf } from '../status/view.ts';

interface SwitchoverOptions extends OperationOptions {
  target?: string;
  force?: boolean;
}

/** `pgherd switchover`, `pgherd failover` and `pgherd promote`: another instance becomes the primary. */
export function addSwitchover(program: Command): void {
  const switchover = program
    .command('switchover')
    .description('Make another instance the primary, without losing anything')
    .argument('<name>', 'cluster')
    .option('--target <instance>', 'who is to be the primary (default: the replica that is least behind)')
    .option('--force', 'try although the target is not ready or far behind; it is waited for');
  withOperation(switchover).action(runSwitchover);
  example(switchover, 'pgherd switchover demo', 'pgherd switchover demo --target demo-2');

  const failover = program
    .command('failover')
    .description('Make a chosen replica the primary')
    .argument('<name>', 'cluster')
    .addOption(new Option('--query', 'list the replicas that can be chosen').conflicts('target'))
    .option('--target <instance>', 'replica that is to be the primary')
    .option('--force', 'try although the target is not ready or far behind; it is waited for');
  withOperation(failover).action(runFailover);
  example(failover, 'pgherd failover demo --query', 'pgherd failover demo --target demo-2');

  const promote = program
    .command('promote')
    .description('Make this instance the primary')
    .argument('<name>', 'cluster')
    .argument('<instance>', 'who is to be the primary')
    .option('--force', 'try although it is not ready or far behind; it is waited for')
    .option(
      '--accept-loss',
      'where there is no primary and none can be elected safely: take this one, whatever acknowledged commits it lacks',
    );
  withOperation(promote).action(runPromote);
  example(promote, 'pgherd promote demo demo-2', 'pgherd promote demo demo-2 --accept-loss --yes');
}

async function runSwitchover(name: string, options: SwitchoverOptions): Promise<void> {
  const { client, namespace } = await connect(options);
  await getCluster(client, namespace, name);
  const { target, force } = options;
  await performOperation(
    {
      cluster: name,
      type: 'Switchover',
      switchover: { ...(target ? { target } : {}), ...(force ? { force } : {}) },
    },
    options,
  );
}

async function runFailover(name: string, options: SwitchoverOptions & { query?: boolean }): Promise<void> {
  if (options.target) return runSwitchover(name, options);
  const { client, namespace } = await connect(options);
  const view = viewOf(await observe(client, namespace, name));
  if (options.output === 'json') printJson(replicasOf(view));
  else printReplicas(view);
  if (!options.query)
    throw new CliError('usage', 'Which replica is to be the primary?', {
      hint: 'Name it with --target INSTANCE.',
    });
}

async function runPromote(
  name: string,
  instance: string,
  options: SwitchoverOptions & { acceptLoss?: boolean },
): Promise<void> {
  const { acceptLoss } = options;
  if (!acceptLoss) return runSwitchover(name, { ...options, target: instance });
  const { client, namespace } = await connect(options);
  requireInstance(await getCluster(client, namespace, name), instance);
  if (!options.yes) {
    const loss = lossText(await observe(client, namespace, name), instance);
    print(
      `This makes ${instance} the primary of cluster ${name}; commits that it lacks are lost for good: ${loss}.`,
    );
  }
  await confirm('Are you sure?', options);
  await promoteWithLoss(client, namespace, { name, target: instance }, options);
}
