import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ago, container, factsOf, NOW, podOf, runOf } from './fixtures.ts';
import { planPod } from './plan.ts';
import type { Action, PodFacts } from './types.ts';

const withInit = podOf({ initContainers: [container('i')] });
const withSidecar = podOf({ initContainers: [container('s', { restartPolicy: 'Always' })] });
const never = podOf({ restartPolicy: 'Never' });
const onFailure = podOf({ restartPolicy: 'OnFailure' });
const deleted = podOf({}, { deletionTimestamp: ago(0) });
const old = { from: 200 };

const cases: [string, PodFacts, string[]][] = [
  [
    'new: volumes and sandbox first',
    factsOf(podOf(), { sandbox: { state: 'none' } }),
    ['prepare', 'sandbox'],
  ],
  [
    'volumes that fail are tried again',
    factsOf(podOf(), { podProblem: { reason: 'x', message: '' } }),
    ['prepare'],
  ],
  ['the first start', factsOf(podOf()), ['start c 0']],
  ['running: nothing', factsOf(podOf(), { runs: [runOf('c')] }), []],
  ['init containers come first', factsOf(withInit), ['start i 0 init']],
  ['an init container at work', factsOf(withInit, { runs: [runOf('i')] }), []],
  ['an init container that succeeded', factsOf(withInit, { runs: [runOf('i', { end: 9 })] }), ['start c 0']],
  [
    'an init container that failed is tried again',
    factsOf(withInit, { runs: [runOf('i', { end: 9, code: 1 })] }),
    ['start i 1 init'],
  ],
  [
    'a failed init container ends a pod that is never restarted',
    factsOf(podOf({ ...withInit.spec, restartPolicy: 'Never' }), { runs: [runOf('i', { end: 9, code: 1 })] }),
    ['end'],
  ],
  [
    'in a new sandbox init containers run again',
    factsOf(withInit, {
      runs: [runOf('i', { ...old, end: 190 }), runOf('c', { ...old, end: 101, code: 137 })],
    }),
    ['start i 1 init'],
  ],
  ['a sidecar first', factsOf(withSidecar), ['start s 0 init']],
  ['then the others beside it', factsOf(withSidecar, { runs: [runOf('s')] }), ['start c 0']],
  ['ended: again, at once', factsOf(podOf(), { runs: [runOf('c', { end: 1, code: 1 })] }), ['start c 1']],
  [
    'crashing: rests',
    factsOf(podOf(), { runs: [runOf('c', { end: 1, code: 1 })], restUntil: { c: NOW + 9000 } }),
    [`wait ${NOW + 9000}`],
  ],
  [
    'the node went away under it: does not rest',
    factsOf(podOf(), { runs: [runOf('c', { ...old, end: 101, code: 137 })], restUntil: { c: NOW + 9000 } }),
    ['start c 1'],
  ],
  [
    'what cannot be started is tried again later',
    factsOf(podOf(), {
      problems: { c: { reason: 'ErrImagePull', message: '' } },
      restUntil: { c: NOW + 9000 },
    }),
    [`wait ${NOW + 9000}`],
  ],
  ['never: ends', factsOf(never, { runs: [runOf('c', { end: 1, code: 1 })] }), ['end']],
  [
    'never: dead sandbox, nothing to do',
    factsOf(never, { sandbox: { state: 'dead' }, runs: [runOf('c', { end: 1 })] }),
    [],
  ],
  ['on failure: success ends', factsOf(onFailure, { runs: [runOf('c', { end: 1 })] }), ['end']],
  [
    'on failure: failure restarts',
    factsOf(onFailure, { runs: [runOf('c', { end: 1, code: 2 })] }),
    ['start c 1'],
  ],
  [
    'sandbox dead: anew',
    factsOf(podOf(), { sandbox: { state: 'dead' }, runs: [runOf('c', { end: 1 })] }),
    ['prepare', 'sandbox'],
  ],
  [
    'a failed liveness probe stops the container alone',
    factsOf(podOf(), { runs: [runOf('c')], probes: { c: { started: true, ready: false, failed: 'x' } } }),
    ['stopContainer c'],
  ],
  [
    'with grace',
    factsOf(podOf(), { runs: [runOf('c')], stoppingContainers: { c: { killAt: NOW + 5 } } }),
    [`wait ${NOW + 5}`],
  ],
  [
    'then by force',
    factsOf(podOf(), { runs: [runOf('c')], stoppingContainers: { c: { killAt: NOW } } }),
    ['kill c'],
  ],
  ['deleted: stop', factsOf(deleted, { runs: [runOf('c')] }), ['stop']],
  [
    'deleted: within grace',
    factsOf(deleted, { runs: [runOf('c')], stopping: { killAt: NOW + 1 } }),
    [`wait ${NOW + 1}`],
  ],
  ['deleted: grace over', factsOf(deleted, { runs: [runOf('c')], stopping: { killAt: NOW } }), ['kill c']],
  ['deleted: all ended', factsOf(deleted, { runs: [runOf('c', { end: 1 })] }), ['finish']],
  ['deleted before it began', factsOf(deleted, { sandbox: { state: 'none' } }), ['finish']],
];

function shown(action: Action): string {
  switch (action.do) {
    case 'start':
      return `start ${action.container} ${action.attempt}${action.init ? ' init' : ''}`;
    case 'wait':
      return `wait ${action.until}`;
    case 'kill':
    case 'stopContainer':
      return `${action.do} ${action.container}`;
    default:
      return action.do;
  }
}

for (const [title, facts, expected] of cases) {
  test(title, () => {
    assert.deepEqual(planPod(facts).map(shown), expected);
  });
}
