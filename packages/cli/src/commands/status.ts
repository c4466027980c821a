import type { Command } from 'commander';
import { type ConnectionOptions, connect } from '../connection.ts';
import { example, withConnection, withOutput } from '../options.ts';
import { print, printJson } from '../output.ts';
import { observe } from '../status/observe.ts';
import { renderStatus } from '../status/render.ts';
import { viewOf } from '../status/view.ts';

/** `pgherd status`. */
export function addStatus(program: Command): void {
  const command = program
    .command('status')
    .description('Show a cluster: its instances, who leads, who lags, and why anything waits')
    .argument('<name>', 'cluster');
  withOutput(withConnection(command)).action(showStatus);
  example(command, 'pgherd status demo', "pgherd status demo -o json | jq -r '.primary'");
}

async function showStatus(name: string, options: ConnectionOptions & { output?: string }): Promise<void> {
  const { client, namespace } = await connect(options);
  const view = viewOf(await observe(client, namespace, name));
  if (options.output === 'json') printJson(view);
  else for (const line of renderStatus(view)) print(line);
}
