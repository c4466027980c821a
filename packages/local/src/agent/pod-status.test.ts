import assert from 'node:assert/strict';
import { test } from 'node:test';
import { container, factsOf, NOW, podOf, runOf } from './fixtures.ts';
import { differs, podStatus } from './pod-status.ts';
import type { PodFacts } from './types.ts';

const withInit = podOf({ initContainers: [container('i')] });
const never = podOf({ restartPolicy: 'Never' });
const ranBefore = { ...podOf(), status: { phase: 'Running', podIP: '10.244.1.9' } };
const crashed = [
  runOf('c', { attempt: 3, from: 60, end: 55, code: 1 }),
  runOf('c', { attempt: 4, end: 2, code: 137 }),
];

/** phase, true conditions, state of `c` (or of `i`), restarts. */
const cases: [string, PodFacts, string][] = [
  [
    'before anything',
    factsOf(podOf(), { sandbox: { state: 'none' } }),
    'Pending [Initialized] waiting:ContainerCreating 0',
  ],
  [
    'initialising',
    factsOf(withInit, { runs: [runOf('i')] }),
    'Pending [PodReadyToStartContainers] waiting:PodInitializing 0',
  ],
  [
    'running, no probe',
    factsOf(podOf(), { runs: [runOf('c')] }),
    'Running [PodReadyToStartContainers Initialized Ready ContainersReady] running 0',
  ],
  [
    'running, not ready',
    factsOf(podOf(), { runs: [runOf('c')], probes: { c: { started: true, ready: false } } }),
    'Running [PodReadyToStartContainers Initialized] running 0',
  ],
  [
    'running, not started',
    factsOf(podOf(), { runs: [runOf('c')], probes: { c: { started: false, ready: true } } }),
    'Running [PodReadyToStartContainers Initialized] running 0',
  ],
  [
    'just dead: not ready, and seen as terminated',
    factsOf(podOf(), { runs: crashed }),
    'Running [PodReadyToStartContainers Initialized] terminated:137 4',
  ],
  [
    'resting',
    factsOf(podOf(), { runs: crashed, restUntil: { c: NOW + 5000 } }),
    'Running [PodReadyToStartContainers Initialized] waiting:CrashLoopBackOff 4',
  ],
  [
    'a pod that ran stays Running while its sandbox is made anew',
    factsOf(ranBefore, { sandbox: { state: 'dead' }, runs: [runOf('c', { end: 1, code: 137 })] }),
    'Running [Initialized] waiting:ContainerCreating 0',
  ],
  [
    'unknown image',
    factsOf(podOf(), { problems: { c: { reason: 'ErrImagePull', message: 'm' } } }),
    'Pending [PodReadyToStartContainers Initialized] waiting:ErrImagePull 0',
  ],
  [
    'succeeded',
    factsOf(never, { runs: [runOf('c', { end: 1 })] }),
    'Succeeded [PodReadyToStartContainers Initialized] terminated:0 0',
  ],
  [
    'failed',
    factsOf(never, { runs: [runOf('c', { end: 1, code: 3 })] }),
    'Failed [PodReadyToStartContainers Initialized] terminated:3 0',
  ],
];

for (const [title, facts, expected] of cases) {
  test(title, () => {
    const status = podStatus(facts);
    const c = status.containerStatuses![0]!;
    const { waiting, terminated } = c.state!;
    const state = waiting
      ? `waiting:${waiting.reason}`
      : terminated
        ? `terminated:${terminated.exitCode}`
        : 'running';
    const holding = status.conditions!.filter((each) => each.status === 'True').map((each) => each.type);
    assert.equal(`${status.phase} [${holding.join(' ')}] ${state} ${c.restartCount}`, expected);
  });
}

test('a restart keeps how the run before ended, with its container ID', () => {
  const runs = [runOf('c', { end: 20, code: 137 }), runOf('c', { attempt: 1, from: 19 })];
  const [c] = podStatus(factsOf(podOf(), { runs })).containerStatuses!;
  assert.equal(c!.containerID, 'pgherd://c-1');
  assert.equal(c!.lastState!.terminated!.containerID, 'pgherd://c-0');
  assert.equal(c!.lastState!.terminated!.reason, 'Error');
});

test('a readiness gate keeps a pod from being ready until its condition holds', () => {
  const gated = podOf({ readinessGates: [{ conditionType: 'x/y' }] } as never);
  const ready = (facts: PodFacts): string | undefined =>
    podStatus(facts).conditions!.find(({ type }) => type === 'Ready')?.status;
  assert.equal(ready(factsOf(gated, { runs: [runOf('c')] })), 'False');
  const open = { ...gated, status: { conditions: [{ type: 'x/y', status: 'True' }] } };
  assert.equal(ready(factsOf(open, { runs: [runOf('c')] })), 'True');
});

test('a status that the API has is not written again, and times of conditions stay', () => {
  const facts = factsOf(podOf(), { runs: [runOf('c')] });
  const status = podStatus(facts);
  const pod = { ...podOf(), status: JSON.parse(JSON.stringify(status)) };
  const later = podStatus({ ...facts, pod, now: NOW + 60_000 });
  assert.equal(differs(pod, later), false);
  assert.equal(later.conditions![0]!.lastTransitionTime, status.conditions![0]!.lastTransitionTime);
  assert.equal(differs(pod, { ...later, phase: 'Failed' }), true);
});
