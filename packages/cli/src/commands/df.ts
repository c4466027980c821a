import { parseBytes } from '@pgherd/api';
import { kinds, type PersistentVolumeClaim, type Pod } from '@pgherd/kube';
import type { Command } from 'commander';
import { getCluster, instancePods, isReady, isRunning } from '../clusters.ts';
import { type ConnectionOptions, connect } from '../connection.ts';
import { example, withConnection, withOutput } from '../options.ts';
import { bytes, print, printJson, table } from '../output.ts';
import { captureInPod } from '../pod-exec.ts';

interface Usage {
  pod: string;
  ready: boolean;
  volume: 'data' | 'wal';
  usedBytes: number;
  /** What the claim asks for. */
  capacityBytes?: number;
  /** What is left on the file system below, which may be shared with others. */
  freeBytes: number;
}

const FOLDERS = { data: '/var/lib/postgresql/data', wal: '/var/lib/postgresql/wal' } as const;

/** For each volume: its name, kibibytes of its files, kibibytes left on its file system. */
const MEASURE = Object.entries(FOLDERS)
  .map(([name, dir]) => `[ -d ${dir} ] && echo ${name} $(du -skx ${dir}) $(df -kP ${dir} | tail -n 1)`)
  .join('; ');

/** `pgherd df`. */
export function addDf(program: Command): void {
  const command = program
    .command('df')
    .description('Show how full the volumes of each instance are')
    .argument('<name>', 'cluster');
  withOutput(withConnection(command)).action(showUsage);
  example(command, 'pgherd df demo', 'pgherd df demo -o json');
}

async function showUsage(name: string, options: ConnectionOptions & { output?: string }): Promise<void> {
  const { client, namespace } = await connect(options);
  const cluster = await getCluster(client, namespace, name);
  const [pods, claims] = await Promise.all([
    instancePods(client, namespace, name),
    client.list(kinds.PersistentVolumeClaim, { namespace }),
  ]);
  const withWal = cluster.spec.walStorage !== undefined;
  const usage = await Promise.all(
    pods.filter(isRunning).map(async (pod) => {
      // A file that vanishes while du looks is no failure.
      const { stdout } = await captureInPod(client, pod, ['sh', '-c', `{ ${MEASURE}; } 2>/dev/null; true`]);
      return usageOf(pod, claims.items, stdout).filter(({ volume }) => withWal || volume === 'data');
    }),
  );
  const all = usage.flat();
  if (options.output === 'json') return printJson(all);
  const rows = all.map(({ pod, ready, volume, usedBytes, capacityBytes, freeBytes }) => [
    pod,
    ready ? 'UP' : 'DOWN',
    volume,
    bytes(usedBytes),
    capacityBytes === undefined ? '-' : bytes(capacityBytes),
    capacityBytes === undefined ? '-' : `${Math.round((usedBytes / capacityBytes) * 100)}%`,
    bytes(freeBytes),
  ]);
  for (const line of table(['POD', 'STATUS', 'VOLUME', 'PGSIZE', 'CAPACITY', 'PCTUSED', 'DISKFREE'], rows))
    print(line);
}

/** Reads the output of MEASURE. */
function usageOf(pod: Pod, claims: PersistentVolumeClaim[], text: string): Usage[] {
  return text
    .split('\n')
    .map((line) => /^(data|wal) (\d+) \S+ .* (\d+) +\d+% /.exec(line))
    .filter((match) => match !== null)
    .map(([, volume, used, free]) => ({
      pod: pod.metadata.name,
      ready: isReady(pod),
      volume: volume as Usage['volume'],
      usedBytes: Number(used) * 1024,
      capacityBytes: capacityOf(pod, claims, FOLDERS[volume as Usage['volume']]),
      freeBytes: Number(free) * 1024,
    }));
}

/** The size of the claim that is mounted at a folder or above it. */
function capacityOf(pod: Pod, claims: PersistentVolumeClaim[], folder: string): number | undefined {
  const { containers, volumes } = pod.spec;
  const mount = containers
    .flatMap(({ volumeMounts }) => volumeMounts ?? [])
    .find(({ mountPath }) => folder === mountPath || folder.startsWith(`${mountPath}/`));
  const claimName = volumes?.find(({ name }) => name === mount?.name)?.persistentVolumeClaim?.claimName;
  const storage = claims.find(({ metadata }) => metadata.name === claimName)?.status?.capacity?.storage;
  return storage === undefined ? undefined : Number(parseBytes(storage));
}
