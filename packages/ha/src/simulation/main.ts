/** `npm run simulate -- --histories N [--seed S] [--instances 2..5] [--failures N] [--brief] [--verbose]` */
import { parseArgs } from 'node:util';
import { draw, type History, play, shorten } from './history.ts';

const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    instances: { type: 'string' },
    failures: { type: 'string', default: '3' },
    brief: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});

const count = Number(values.histories);
const first = Number(values.seed);
const sizes = sizesOf(values.instances);
const began = process.cpuUsage();
const sum = { steps: 0, takes: 0, acknowledgements: 0, lasted: 0 };
let failures = 0;
let played = 0;

for (let seed = first; seed < first + count && failures < Number(values.failures); seed++) {
  const plan = draw(seed, sizes ? { sizes } : {});
  const history = play(plan, { loud: values.verbose });
  played++;
  for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += history[key];
  if (values.verbose) tell(history);
  if (history.violations.length > 0) {
    failures++;
    console.log(`seed ${seed}: ${history.violations[0]}`);
    if (!values.brief) tell(shorten(plan));
  }
  if (played % 10_000 === 0) console.error(`${played} histories, ${failures} failures`);
}

const seconds = process.cpuUsage(began).user / 1_000_000;
console.log(
  `${played} histories from seed ${first} in ${seconds.toFixed(1)} s of CPU (${((seconds * 1000) / played).toFixed(2)} ms each, ` +
    `${(sum.lasted / 1000 / played).toFixed(1)} s of the world, ${(sum.steps / played).toFixed(0)} steps, ` +
    `${(sum.takes / played).toFixed(1)} changes of leader, ${(sum.acknowledgements / played).toFixed(0)} commits): ` +
    `${failures === 0 ? 'no violation' : `${failures} with a violation`}`,
);
process.exitCode = failures === 0 ? 0 : 1;

function tell(history: History): void {
  const { plan, told, violations, world } = history;
  console.log(`seed ${plan.seed}, ${plan.instances} instances, ${settingsText(plan.settings)}`);
  for (const line of told) console.log(`  ${line}`);
  for (const line of violations) console.log(`  VIOLATION ${line}`);
  console.log(world.notes.map((line) => `    ${line}`).join('\n'));
  console.log(world.picture());
}

/** `3` or `2..5`. */
function sizesOf(text: string | undefined): number[] | undefined {
  if (text === undefined) return undefined;
  const [low, high = low] = text.split('..').map(Number);
  return Array.from({ length: high! - low! + 1 }, (_, i) => low! + i);
}

function settingsText(settings: object): string {
  return JSON.stringify(settings, (_, value) => (typeof value === 'bigint' ? String(value) : value));
}
