/** `npm run chaos`: random faults on a cluster in a local mode of its own, and a judgement of what clients saw. */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type KubeObject, kinds } from '@pgherd/kube';
import { stateLayout } from '@pgherd/local';
import { Disks } from '../disks.ts';
import { report } from '../failure-report.ts';
import { Stage } from '../stage.ts';
import { startLocalWorld, stopAllWorlds } from '../world.ts';
import type { ChaosResult } from './options.ts';
import { type FaultKind, kindsFor } from './plan.ts';
import { NODES, runChaos } from './run.ts';

const ALL = { mode: 'sync', backups: true } as const;
const KINDS: FaultKind[] = [...new Set([false, true].flatMap((disks) => kindsFor({ ...ALL, disks })))];
const USAGE = `Usage: npm run chaos -- [--seed S] [--minutes M] [--mode sync|async] [--disks] [--no-backups] [--only FAULT]...
                        [--skip N]

Starts local mode with a cluster of three, writes and reads, and lets faults come down on it, several at a time.
After each episode the cluster must be well again and have every acknowledged write. The same seed gives the same
episodes; --skip N leaves out the first N. Ends at the first violation, and keeps the logs. --disks puts the volumes
on small file systems of their own, which hang and fill up: that needs root.

Faults: ${KINDS.join(', ')}

Example:
  npm run chaos -- --seed 7 --minutes 10`;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    minutes: { type: 'string' },
    mode: { type: 'string', default: 'sync' },
    only: { type: 'string', multiple: true },
    disks: { type: 'boolean', default: false },
    'no-backups': { type: 'boolean', default: false },
    skip: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
const unknown = (values.only ?? []).filter((each) => !KINDS.some((kind) => kind === each));
const { mode } = values;
if (unknown.length > 0 || (mode !== 'sync' && mode !== 'async')) {
  console.error(USAGE);
  process.exit(2);
}
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void stopAllWorlds().finally(() => process.exit(130)));

if (values.disks && !Disks.possible()) {
  console.error('--disks mounts file systems: run it as root.');
  process.exit(2);
}
const seed = values.seed === undefined ? Math.floor(Math.random() * 1_000_000) : Number(values.seed);
const folder = join(import.meta.dirname, '..', '..', '..', '.tmp', 'chaos', `${seed}`);
mkdirSync(folder, { recursive: true });
const sequence: string[] = [];
const say = (text: string): void => {
  console.log(text);
  sequence.push(text);
};

say(`seed ${seed}, ${mode}`);
const world = await startLocalWorld('chaos', NODES);
let code = 1;
try {
  const metadata = { name: 'chaos' };
  await world.client.create(kinds.Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata } as KubeObject);
  const stage = new Stage(world, metadata.name);
  const result = await runChaos(stage, {
    seed,
    lastsMs: Number(values.minutes ?? 10) * 60_000,
    mode,
    disks: values.disks,
    backups: !values['no-backups'],
    kinds: values.only as FaultKind[] | undefined,
    skip: Number(values.skip ?? 0),
    say,
  });
  if (result.violations.length > 0) await keep(stage);
  tell(result);
  code = result.violations.length > 0 ? 1 : 0;
} finally {
  await world.stop();
  await stopAllWorlds();
}
process.exit(code);

/** Keeps what one wants to see after a violation. */
async function keep(stage: Stage): Promise<void> {
  say(`What was found is in ${await report(stage, `chaos-${seed}`)} and ${folder}`);
  const layout = stateLayout(world.state);
  for (const [from, to] of [
    [layout.pods, 'pods'],
    [layout.logs, 'logs'],
  ] as const)
    cpSync(from, join(folder, to), {
      recursive: true,
      filter: (path) => !/\/(volumes|.*\.sock)$/.test(path),
    });
}

function tell(result: ChaosResult): void {
  const times = result.recoveriesMs.map((ms) => ms / 1000).sort((a, b) => a - b);
  const middle = times[Math.floor(times.length / 2)] ?? 0;
  say(`${result.episodes} episodes, faults: ${JSON.stringify(result.faults)}`);
  say(
    `${result.acknowledged} writes acknowledged, ${result.lost} lost; ${result.reads} reads, ${result.staleReads} stale (worst ${result.worstStaleMs} ms); ${result.overlaps} acknowledgements of an old primary beside a new one`,
  );
  say(
    `well again after an episode: median ${middle.toFixed(1)} s, worst ${(times.at(-1) ?? 0).toFixed(1)} s; longest time without an acknowledgement ${(result.longestPauseMs / 1000).toFixed(1)} s`,
  );
  say(
    result.violations.length === 0
      ? 'No violation.'
      : `${result.violations.length} violations. Again: --seed ${seed}`,
  );
  writeFileSync(join(folder, 'report.json'), `${JSON.stringify(result, null, 2)}\n`);
  writeFileSync(join(folder, 'sequence.txt'), `${sequence.join('\n')}\n`);
}
