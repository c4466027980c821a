import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { api, down, type LocalStatus, node, reset, status } from '@pgherd/local';
import type { Command } from 'commander';
import { confirm } from '../confirm.ts';
import { stateFolder } from '../connection.ts';
import { CliError } from '../errors.ts';
import { ensureModernNode } from '../modern-node.ts';
import { example, whole, withOutput, withState } from '../options.ts';
import { paint, print, printJson, remark, startProgress, table, wrap } from '../output.ts';
import { describeReset } from '../reset-notice.ts';

interface StateOption {
  state?: string;
}

/** `pgherd local ...`. */
export function addLocal(program: Command): void {
  const local = program
    .command('local')
    .description('A small Kubernetes of your own on this machine, without root and without containers');
  const own = [addUp(local), addDown(local), addReset(local)];
  addLocalStatus(local);
  addKubeconfig(local);
  addNode(local);
  addApi(local);
  for (const command of [...own, addDemo(local)])
    command.hook('preAction', (_, run) =>
      ensureModernNode(resolve(stateFolder(run.opts<StateOption>().state))),
    );
  example(local, 'pgherd local up', 'pgherd local status', 'pgherd local node freeze node-2');
}

function addUp(local: Command): Command {
  const command = local
    .command('up')
    .description('Start local mode, with the operator in it')
    .option('--nodes <count>', 'virtual nodes (default: as before, 3 at first)', whole(1))
    .option(
      '--api-port <port>',
      'loopback port of the API (default: as before, 6443 or a free one at first)',
      whole(1),
    );
  withState(command).action(async (options: StateOption & { nodes?: number; apiPort?: number }) => {
    const progress = startProgress('Starting local mode');
    try {
      // Loaded here, since it brings the operator's manifests and the bundler along.
      const { bringUp } = await import('../local-mode.ts');
      const { info } = await bringUp({
        state: resolve(stateFolder(options.state)),
        nodes: options.nodes,
        apiPort: options.apiPort,
        onProgress: progress.update,
      });
      progress.done(`Local mode runs: ${info.nodes.length} nodes, API at ${info.server}`);
      if (!info.limits.enforced) remark(wrap(`Limits of memory and CPU are ${info.limits.text}.`));
      print(`export KUBECONFIG=${info.kubeconfig}`);
    } catch (error) {
      progress.fail('Local mode does not run');
      throw error;
    }
  });
  return example(command, 'pgherd local up --nodes 3', 'eval "$(pgherd local up)" && kubectl get nodes');
}

function addDown(local: Command): Command {
  const command = local
    .command('down')
    .description('Stop local mode and all that runs in it; keeps the data');
  withState(command).action(async (options: StateOption) => {
    const state = resolve(stateFolder(options.state));
    const progress = startProgress('Stopping local mode');
    try {
      await down({ state, onProgress: (step) => progress.update(step.message) });
      progress.done(
        `Local mode is stopped. The data stay in ${state}; \`pgherd local up\` goes on with them.`,
      );
    } catch (error) {
      progress.fail('Local mode is not stopped');
      throw error;
    }
  });
  return example(command, 'pgherd local down');
}

function addReset(local: Command): Command {
  const command = local
    .command('reset')
    .description('Stop local mode and delete its state folder, the databases in it too')
    .option('-y, --yes', 'do not ask');
  withState(command).action(async (options: StateOption & { yes?: boolean }) => {
    const state = resolve(stateFolder(options.state));
    const notice = describeReset(state);
    if (notice === undefined) return print(`There is nothing to delete: ${state} does not exist.`);
    for (const line of notice) print(line);
    await confirm('Delete all of it?', options);
    const progress = startProgress('Deleting');
    try {
      await reset({ state, onProgress: (step) => progress.update(step.message) });
      progress.done(`${state} is deleted.`);
    } catch (error) {
      progress.fail(`${state} is not deleted`);
      throw error;
    }
  });
  return example(command, 'pgherd local reset', 'pgherd local reset --yes');
}

function addLocalStatus(local: Command): void {
  const command = local.command('status').description('Show what of local mode runs');
  withState(withOutput(command)).action(async (options: StateOption & { output?: string }) => {
    const found = await status({ state: resolve(stateFolder(options.state)) });
    if (options.output === 'json') printJson(found);
    else for (const line of statusLines(found)) print(line);
    if (!found.running) process.exitCode = 3;
  });
  example(command, 'pgherd local status', 'pgherd local status -o json');
}

function statusLines(found: LocalStatus): string[] {
  if (!found.running) {
    const kept = found.exists ? ' Its data are kept there.' : '';
    return [`Local mode does not run in ${found.state}.${kept} Start it with \`pgherd local up\`.`];
  }
  const lines = [
    `${paint('green', 'running')}  API ${found.info?.server ?? ''}`,
    `state       ${found.state}`,
    `kubeconfig  ${found.info?.kubeconfig ?? ''}`,
    `limits      ${wrap(found.info?.limits.text ?? '', ' '.repeat(12)).trimStart()}`,
    '',
    ...table(
      ['NODE', 'STATE', 'PODS'],
      (found.info?.nodes ?? []).map((each) => [
        each.name,
        each.isolated ? `${each.state}, isolated` : each.state,
        String(each.pods),
      ]),
    ),
    '',
    ...table(
      ['PROCESS', 'PID', 'RESTARTS'],
      found.components.map((each) => [each.name, String(each.pid ?? '-'), String(each.restarts)]),
    ),
  ];
  const relays = Object.entries(found.relays);
  if (relays.length > 0) {
    lines.push(
      '',
      ...table(
        ['SERVICE', 'ON THIS MACHINE'],
        relays.map(([name, port]) => [name, `127.0.0.1:${port}`]),
      ),
    );
  }
  return lines;
}

function addKubeconfig(local: Command): void {
  const command = local
    .command('kubeconfig')
    .description('Print the path of the kubeconfig of local mode')
    .option('--content', 'print the file itself');
  withState(command).action(async (options: StateOption & { content?: boolean }) => {
    const found = await status({ state: resolve(stateFolder(options.state)) });
    if (!found.info) {
      throw new CliError('notFound', `Local mode does not run in ${found.state}.`, {
        hint: 'Start it with `pgherd local up`.',
      });
    }
    if (options.content) process.stdout.write(readFileSync(found.info.kubeconfig, 'utf8'));
    else print(found.info.kubeconfig);
  });
  example(command, 'export KUBECONFIG="$(pgherd local kubeconfig)"');
}

/** What can be done to a virtual node, and how it reads afterwards. */
const NODE_ACTS = {
  stop: ['Stop a node without a word: kill all that runs on it', 'is stopped'],
  start: ['Start a stopped node again', 'runs'],
  freeze: ['Freeze all processes of a node (SIGSTOP)', 'is frozen'],
  thaw: ['Let a frozen node go on', 'goes on'],
  isolate: ['Cut a node off from the network', 'is cut off from the network'],
  join: ['Connect an isolated node again', 'is connected again'],
} as const;

function addNode(local: Command): void {
  const parent = local
    .command('node')
    .description('List the virtual nodes, and do to them what happens to real ones');
  const list = parent.command('list').description('List the virtual nodes');
  withState(withOutput(list)).action(async (options: StateOption & { output?: string }) => {
    const nodes = await node.list({ state: resolve(stateFolder(options.state)) });
    if (options.output === 'json') return printJson(nodes);
    const rows = nodes.map((each) => [
      each.name,
      each.state,
      each.isolated ? 'cut off' : 'connected',
      String(each.pods),
    ]);
    for (const line of table(['NODE', 'STATE', 'NETWORK', 'PODS'], rows)) print(line);
  });
  example(list, 'pgherd local node list');
  for (const [act, [description, result]] of Object.entries(NODE_ACTS)) {
    const command = parent.command(act).description(description).argument('<node>', 'node, such as node-2');
    if (act === 'isolate')
      command.option('--keep-clients', 'clients still reach what runs there; only peers and the API do not');
    withState(command).action(async (name: string, options: StateOption & { keepClients?: boolean }) => {
      const { keepClients } = options;
      const state = resolve(stateFolder(options.state));
      await node[act as keyof typeof NODE_ACTS](name, { state, ...(keepClients ? { keepClients } : {}) });
      print(`Node ${name} ${result}.`);
    });
    example(command, `pgherd local node ${act} node-2`);
  }
  example(parent, 'pgherd local node list', 'pgherd local node isolate node-2');
}

/** What can be done to the API, and how it reads afterwards. */
const API_ACTS = {
  stop: ['Kill the Kubernetes API and keep it away; pods run on', 'is away'],
  start: ['Bring the Kubernetes API back', 'answers'],
} as const;

function addApi(local: Command): void {
  const parent = local.command('api').description('Take the Kubernetes API away, and bring it back');
  for (const [act, [description, result]] of Object.entries(API_ACTS)) {
    const command = parent.command(act).description(description);
    withState(command).action(async (options: StateOption) => {
      await api[act as keyof typeof API_ACTS]({ state: resolve(stateFolder(options.state)) });
      print(`The API ${result}.`);
    });
    example(command, `pgherd local api ${act}`);
  }
  example(parent, 'pgherd local api stop', 'pgherd local api start');
}

function addDemo(local: Command): Command {
  const command = local
    .command('demo')
    .description('Start a cluster of three, load it, kill its primary, and show what happens (npm start)');
  withState(command).action(async (options: StateOption) => {
    const { runDemo } = await import('../demo/main.ts');
    await runDemo(resolve(stateFolder(options.state)));
  });
  return example(command, 'pgherd local demo');
}
