/** `npm run bench -- bootstrap|throughput|steady|failover|backup`: ratios to a floor measured in the same run. */
import { parseArgs } from 'node:util';
import { stopAllWorlds } from '@pgherd/e2e';
import { backup } from './backup/index.ts';
import { bootstrap } from './bootstrap.ts';
import { failover, stopSystems } from './failover/index.ts';
import type { Measurement, Outcome } from './measurement.ts';
import { steady } from './steady.ts';
import { throughput } from './throughput.ts';

const measurements: Record<string, Measurement> = { bootstrap, throughput, steady, failover, backup };

const USAGE = `Usage: npm run bench -- bootstrap|throughput|steady|failover|backup [-o json] [--runs N] [--seconds S]

  bootstrap   from apply to three ready instances, over a bare shell script
  throughput  pgbench with 8 clients, over the same PostgreSQL without pgherd
  steady      writes to the API, memory and CPU of a cluster that does nothing
  failover    write outages after faults, beside Patroni with etcd (installed by apt when missing);
              [--only FAULT]... [--only-system pgherd|patroni-tuned|patroni-default]...
              [--minutes M]: no further run that would not end by then;
              [--file FILE]: trials are kept there, and those that are there already are not made again
  backup      full backup, restore and WAL archive, over pgBackRest without pgherd; [--scale S]

Example:
  npm run bench -- bootstrap --runs 5 -o json
  npm run bench -- failover --runs 1 --only switchover`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    output: { type: 'string', short: 'o' },
    runs: { type: 'string' },
    seconds: { type: 'string' },
    minutes: { type: 'string' },
    scale: { type: 'string' },
    only: { type: 'string', multiple: true },
    file: { type: 'string' },
    'only-system': { type: 'string', multiple: true },
    help: { type: 'boolean', short: 'h' },
  },
});
const measurement = measurements[positionals[0] ?? ''];
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
if (!measurement || positionals.length !== 1 || (values.output !== undefined && values.output !== 'json')) {
  console.error(USAGE);
  process.exit(2);
}
let soFar: (() => Outcome) | undefined;
const tell = ({ result, lines }: Outcome) => {
  if (values.output === 'json') console.log(JSON.stringify(result, null, 2));
  else for (const line of lines) console.log(line);
};
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    if (soFar) tell(soFar());
    stopSystems()
      .then(stopAllWorlds)
      .finally(() => process.exit(130));
  });
}
try {
  const outcome = await measurement({
    runs: values.runs ? Number(values.runs) : undefined,
    seconds: values.seconds ? Number(values.seconds) : undefined,
    minutes: values.minutes ? Number(values.minutes) : undefined,
    scale: values.scale ? Number(values.scale) : undefined,
    only: values.only,
    systems: values['only-system'],
    file: values.file,
    partial: (tellIt) => {
      soFar = tellIt;
    },
    say: (text) => console.error(text),
  });
  tell(outcome);
} catch (error) {
  // What was measured until then is worth something all the same.
  if (soFar) tell(soFar());
  console.error(error);
  process.exitCode = 1;
} finally {
  await stopAllWorlds();
}
process.exit();
