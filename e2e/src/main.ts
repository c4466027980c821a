/** `npm run e2e`: runs the scenarios; the last line is `N passed, N failed, N skipped`. */
import { parseArgs } from 'node:util';
import { runConformanceOnly } from './conformance/main.ts';
import { runScenarios } from './runner.ts';
import { scenarios } from './scenarios/index.ts';
import { stopAllWorlds } from './world.ts';

const { values } = parseArgs({
  options: {
    kubeconfig: { type: 'string' },
    context: { type: 'string' },
    'storage-class': { type: 'string' },
    'image-registry': { type: 'string' },
    only: { type: 'string', multiple: true },
    conformance: { type: 'boolean' },
    list: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
});

if (values.help) {
  console.log(`Usage: npm run e2e -- [--only NAME]... [--list]
       npm run e2e -- --kubeconfig FILE [--context NAME] [--storage-class CLASS] [--image-registry REGISTRY]
       npm run e2e -- --conformance [--kubeconfig FILE]

Runs the scenarios in a local mode of their own, or, with --kubeconfig, in a Kubernetes cluster where the
operator is installed. What is left of a scenario that failed is in .tmp/e2e/NAME.

  --kubeconfig FILE        a cluster that is there
  --context NAME           its context, if not the current one
  --storage-class CLASS    class of all volumes, if not the default one
  --image-registry PLACE   where nodes fetch postgresql:15, such as registry.example.com/pgherd
  --only NAME              one scenario (may be given several times)
  --conformance            only what the Kubernetes API answers, row by row
  --list                   names the scenarios

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

const { kubeconfig, context } = values;
const options = {
  ...(kubeconfig ? { kubeconfig } : {}),
  ...(context ? { context } : {}),
  ...(values['storage-class'] ? { storageClass: values['storage-class'] } : {}),
  ...(values['image-registry'] ? { imageRegistry: values['image-registry'] } : {}),
};
const complete = values.only === undefined;
const wanted = scenarios.filter((each) => !values.only || values.only.includes(each.name));
const run = values.conformance ? runConformanceOnly(options) : runScenarios(wanted, { ...options, complete });
const { passed, failed, skipped } = await run.finally(stopAllWorlds);
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
