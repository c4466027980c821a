/** What one wants to see after a failed scenario, in a folder. */
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OPERATOR_NAMESPACE } from '@pgherd/api';
import type { Stage } from './stage.ts';
import { operatorDeployment } from './world.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** Collects objects, events and logs; returns the folder. Collects what it can: it runs when something is broken. */
export async function report(stage: Stage, name: string): Promise<string> {
  const folder = join(ROOT, '.tmp', 'e2e', name);
  mkdirSync(folder, { recursive: true });
  const save = (file: string, text: string) => writeFileSync(join(folder, file), text);
  const kubectl = async (file: string, args: string[]) => {
    const result = await stage
      .kubectl(args, { timeoutMs: 15_000 })
      .catch((error: Error) => ({ stdout: '', stderr: error.message }));
    save(file, `${result.stdout}${result.stderr}`);
  };
  await kubectl('objects.yaml', [
    'get',
    'clusters,pods,leases,services,endpointslices,pvc,pdb',
    '-o',
    'yaml',
  ]);
  await kubectl('events.txt', ['get', 'events', '--sort-by=.lastTimestamp']);
  await kubectl('describe.txt', ['describe', 'clusters,pods,pvc']);
  await kubectl('nodes.txt', ['describe', 'nodes']);
  const operator = await operatorDeployment(stage.client).catch(() => undefined);
  await kubectl('operator.log', [
    'logs',
    '-n',
    operator?.metadata.namespace ?? OPERATOR_NAMESPACE,
    '-l',
    'app.kubernetes.io/name=pgherd',
    '--prefix',
    '--tail=500',
  ]);
  const status = await stage
    .cli(['status', stage.cluster], { timeoutMs: 15_000 })
    .catch((error: Error) => ({ stdout: '', stderr: error.message }));
  save('status.txt', `${status.stdout}${status.stderr}`);
  for (const pod of await stage.instances().catch(() => [])) {
    const { name: instance } = pod.metadata;
    await kubectl(`${instance}.log`, ['logs', instance, '-c', 'postgres', '--tail=2000']);
    await kubectl(`${instance}.previous.log`, [
      'logs',
      instance,
      '-c',
      'postgres',
      '--tail=500',
      '--previous',
    ]);
  }
  copyLocalLogs(stage, folder);
  return folder;
}

function copyLocalLogs(stage: Stage, folder: string): void {
  if (!stage.world.state) return;
  try {
    const logs = join(stage.world.state, 'logs');
    for (const file of readdirSync(logs)) copyFileSync(join(logs, file), join(folder, `local-${file}`));
  } catch {
    // The logs went with their folder: nothing to copy.
  }
}
