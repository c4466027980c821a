/** `npm run e2e`: runs the scenarios; the last line is `N passed, N failed, N skipped`. */
import { parseArgs } from 'node:util';
import { runScenarios } from './runner.ts';
import { scenarios } from './scenarios/index.ts';
import { stopAllWorlds } from './world.ts';

const { values } = parseArgs({
  options: {
    kubeconfig: { type: 'string' },
    context: { type: 'string' },
    only: { type: 'string', multiple: true },
    list: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
});

if (values.help) {
  console.log(`Usage: npm run e2e -- [--only NAME]... [--list] [--kubeconfig FILE [--context NAME]]

Runs the scenarios in a local mode of their own, or, with --kubeconfig, in a Kubernetes cluster where the
operator is installed.

Example:
  npm run e2e -- --only postmaster-killed`);
  process.exit(0);
}
if (values.list) {
  for (const scenario of scenarios) console.log(`${scenario.name.padEnd(30)} ${scenario.title}`);
  process.exit(0);
}
const unknown = (values.only ?? []).filter((name) => !scenarios.some((each) => each.name === name));
if (unknown.length > 0) {
  console.error(`No scenario is called ${unknown.join(', ')}; --list names them.`);
  process.exit(2);
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    console.error('Interrupted: stopping what was started');
    stopAllWorlds().finally(() => process.exit(130));
  });
}

const wanted = scenarios.filter((each) => !values.only || values.only.includes(each.name));
const { passed, failed, skipped } = await runScenarios(wanted, values);
await stopAllWorlds();
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
