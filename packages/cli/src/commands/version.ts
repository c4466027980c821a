import { OPERATOR_IMAGE, OPERATOR_NAMESPACE } from '@pgherd/api';
import { kinds } from '@pgherd/kube';
import type { Command } from 'commander';
import { type ConnectionOptions, connect } from '../connection.ts';
import { example, withConnection, withOutput } from '../options.ts';
import { print, printJson, table } from '../output.ts';

/** The version of this program: that of the image it belongs to. */
const VERSION_OF_PGHERD = OPERATOR_IMAGE.slice(OPERATOR_IMAGE.lastIndexOf(':') + 1);

/** `pgherd version`. */
export function addVersion(program: Command): void {
  const command = program
    .command('version')
    .description('Print the versions of this program, the operator and the API server');
  withOutput(withConnection(command)).action(showVersion);
  example(command, 'pgherd version');
}

async function showVersion(options: ConnectionOptions & { output?: string }): Promise<void> {
  const server = await serverVersions(options);
  const versions = { pgherd: VERSION_OF_PGHERD, node: process.versions.node, ...server };
  if (options.output === 'json') return printJson(versions);
  const rows = [
    ['pgherd', versions.pgherd],
    ['node', versions.node],
    ['operator', versions.operator ?? '(not reached)'],
    ['API server', versions.server ?? '(not reached)'],
  ];
  for (const line of table(['', ''], rows).slice(1)) print(line);
}

/** What runs in the cluster; empty where none is reached, since the version of the program is an answer as well. */
async function serverVersions(options: ConnectionOptions): Promise<{ operator?: string; server?: string }> {
  try {
    const { client } = await connect(options);
    const [info, deployments] = await Promise.all([
      client.json<{ gitVersion?: string }>({ path: '/version', timeoutMs: 3_000 }),
      client
        .list(kinds.Deployment, { namespace: OPERATOR_NAMESPACE, timeoutMs: 3_000 })
        .catch(() => undefined),
    ]);
    const images = deployments?.items.flatMap(
      (d) => d.spec?.template.spec?.containers.map((c) => c.image) ?? [],
    );
    return { server: info.gitVersion, operator: images?.find((image) => image?.includes('pgherd')) };
  } catch {
    return {};
  }
}
