/** Local mode needs Node 24. The bundled command may have been started by an older one. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { CliError } from './errors.ts';

const NEEDED = 24;

const major = (version: string): number => Number(version.split('.')[0]);

/**
 * Goes on in this process when its Node will do; else runs the same command with one that will and ends this process
 * with its exit code. Throws CliError where none is found.
 */
export function ensureModernNode(state: string): void {
  if (major(process.versions.node) >= NEEDED) return;
  const node = [process.env.PGHERD_NODE, ...keptBy(state)].find((path) => path && existsSync(path));
  if (!node) {
    throw new CliError(
      'failed',
      `Local mode needs Node ${NEEDED}, and this is Node ${process.versions.node}.`,
      {
        hint: `Name one: PGHERD_NODE=/path/to/node. npm has it: npm install node-linux-${process.arch}@${NEEDED}, then node_modules/node-linux-${process.arch}/bin/node.`,
      },
    );
  }
  // Ctrl-C reaches the child as well; its exit is then ours.
  process.on('SIGINT', () => {});
  const result = spawnSync(node, process.argv.slice(1), { stdio: 'inherit' });
  if (result.error) throw new CliError('failed', `running ${node}`, { cause: result.error });
  process.exit(result.status ?? 128 + constants.signals[result.signal ?? 'SIGTERM']);
}

/** Local mode keeps the Node that it ran with. */
function keptBy(state: string): string[] {
  const images = join(state, 'images');
  if (!existsSync(images)) return [];
  return readdirSync(images)
    .filter((name) => name.startsWith('node-') && major(name.slice('node-'.length)) >= NEEDED)
    .map((name) => join(images, name, 'node'));
}
