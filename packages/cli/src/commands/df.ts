import type { Command } from 'commander';
import { getCluster, instancePods, isRunning } from '../clusters.ts';
import { type ConnectionOptions, connect } from '../connection.ts';
import { example, withConnection, withOutput } from '../options.ts';
import { bytes, print, printJson, table } from '../output.ts';
import { captureInPod } from '../pod-exec.ts';

interface Usage {
  pod: string;
  volume: 'data' | 'wal';
  usedBytes: number;
  sizeBytes: number;
}

/** Used and whole size of each file system in kibibytes, as POSIX df prints them. */
const MEASURE = 'df -kP /var/lib/postgresql/data; df -kP /var/lib/postgresql/wal 2>/dev/null; true';

/** `pgherd df`. */
export function addDf(program: Command): void {
  const command = program
    .command('df')
    .description('Show how full the volumes of each instance are')
    .argument('<name>', 'cluster');
  withOutput(withConnection(command)).action(showUsage);
  example(command, 'pgherd df demo');
}

async function showUsage(name: string, options: ConnectionOptions & { output?: string }): Promise<void> {
  const { client, namespace } = await connect(options);
  const cluster = await getCluster(client, namespace, name);
  const pods = (await instancePods(client, namespace, name)).filter(isRunning);
  const withWal = cluster.spec.walStorage !== undefined;
  const usage = await Promise.all(
    pods.map(async (pod) => {
      const { stdout } = await captureInPod(client, pod, ['sh', '-c', MEASURE]);
      return usageOf(pod.metadata.name, stdout).filter((each) => withWal || each.volume === 'data');
    }),
  );
  const all = usage.flat();
  if (options.output === 'json') return printJson(all);
  const rows = all.map((each) => [
    each.pod,
    each.volume,
    bytes(each.usedBytes),
    bytes(each.sizeBytes),
    `${Math.round((each.usedBytes / each.sizeBytes) * 100)}%`,
  ]);
  for (const line of table(['POD', 'VOLUME', 'USED', 'CAPACITY', 'PCTUSED'], rows)) print(line);
}

/** Reads the output of MEASURE. */
export function usageOf(pod: string, text: string): Usage[] {
  return text
    .split('\n')
    .map((line) => /^\S+\s+(\d+)\s+(\d+)\s+\d+\s+\d+%\s+(\S.*)$/.exec(line))
    .filter((match) => match !== null)
    .map((match, i) => ({
      pod,
      volume: i === 0 ? 'data' : 'wal',
      sizeBytes: Number(match[1]) * 1024,
      usedBytes: Number(match[2]) * 1024,
    }));
}
