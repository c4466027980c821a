import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANNOTATION_FENCED, ANNOTATION_RESTORE, type ClusterRestoration } from '@pgherd/api';
import type { Action } from '../../cluster/actions.ts';
import { healthyFacts, NOW, testReport } from '../../testing/facts.ts';
import { baseFacts } from '../../testing/operations.ts';
import { abandonRestore, isToCheck, planRestore, type RestoreFacts } from './plan.ts';

const SPEC = { backup: { repositories: [{ name: 'local', volume: { size: '1Gi' } }] } };
const WINDOW = { firstMs: NOW - 60_000, lastMs: NOW - 1_000 };
const CHECK = { ok: true, chosen: { backup: 'B', timeline: 3 }, window: WINDOW } as const;
const SOURCE = JSON.stringify({
  from: 'repository',
  cluster: 'demo',
  number: 1,
  repository: { name: 'local' },
});
const asked = { source: SOURCE };

interface Given {
  restore?: object;
  spec?: object;
  notes?: Record<string, string>;
  stage?: ClusterRestoration['stage'];
  foreign?: boolean;
  more?: Partial<RestoreFacts>;
  report?: object;
  recovered?: object;
  headless?: boolean;
  fenced?: string[];
  /** The node of demo-3 does not answer; or its pod should have ended so many milliseconds ago. */
  deadNode?: boolean;
  overdue?: number;
  /** Milliseconds since it began. */
  since?: number;
}

function facts(o: Given): RestoreFacts {
  const restoration = o.stage && { id: o.foreign ? 'other' : 'uid-op', stage: o.stage, instance: 'demo-4' };
  const cluster = healthyFacts(o.spec ?? SPEC, 3, {
    ...(restoration ? { restoration } : {}),
    ...(o.recovered ? { recovered: o.recovered } : {}),
  });
  if (o.headless) cluster.lease!.holder = null;
  if (o.fenced) cluster.cluster.metadata.annotations = { [ANNOTATION_FENCED]: JSON.stringify(o.fenced) };
  const { pod } = cluster.instances[2]!;
  pod!.spec.nodeName = 'node-3';
  cluster.unready = new Set(o.deadNode ? ['node-3'] : ['node-9']);
  if (o.overdue !== undefined) pod!.metadata.deletionTimestamp = new Date(NOW - o.overdue).toISOString();
  if (o.report)
    cluster.instances.push({ name: 'demo-4', serial: 4, report: testReport('demo-4', 'replica', o.report) });
  const base = baseFacts(cluster, { type: 'Restore', restore: o.restore ?? {} }, o.notes ?? {});
  base.operation.status!.startedAt = new Date(NOW - (o.since ?? 0)).toISOString();
  return { ...base, ...o.more };
}

/** What becomes of the mark on the Cluster. */
const marks = (actions: Action[] | undefined) =>
  (actions ?? []).map((action) => {
    const { metadata } = (action.do === 'patch' ? action.body : {}) as {
      metadata: { annotations: Record<string, string | null> };
    };
    const mark = metadata.annotations[ANNOTATION_RESTORE];
    if (mark === null) return 'taken away';
    return (JSON.parse(mark!) as { back?: boolean }).back ? 'back' : 'asked';
  });

const at = (ms: number) => ({ recoveryTarget: { targetTime: new Date(ms).toISOString() } });
const CASES: { what: string; given: Given; next: string; says: RegExp; mark?: string[] }[] = [
  { what: 'no backups', given: { spec: {} }, next: 'fail', says: /no spec.backup/ },
  {
    what: 'no such repository',
    given: { restore: { repository: 'far' } },
    next: 'fail',
    says: /no repository far; it has: local/,
  },
  {
    what: 'a fence for all',
    given: { fenced: ['*'] },
    next: 'fail',
    says: /is fenced; to lift the fence: pgherd fencing off demo all -n default/,
  },
  {
    what: 'a fence for one',
    given: { fenced: ['demo-2'] },
    next: 'check',
    says: /asks what can be restored/,
  },
  {
    what: 'the future, which is told with the window',
    given: { restore: at(NOW + 5_000) },
    next: 'check',
    says: /asks what/,
  },
  {
    what: 'the future, where nobody can look',
    given: {
      restore: at(NOW + 70_000),
      more: { check: { unreachable: 'no instance' } },
      since: 61_000,
      headless: true,
    },
    next: 'fail',
    says: /lies in the future/,
  },
  {
    what: 'no time at all',
    given: { restore: { recoveryTarget: { targetTime: '2026-02-30 10:00' } } },
    next: 'fail',
    says: /no such day/,
  },
  {
    what: 'another one under way',
    given: { stage: 'restoring', foreign: true },
    next: 'fail',
    says: /being restored already/,
  },
  {
    what: 'an instance on a node that does not answer',
    given: { deadNode: true, more: { check: CHECK, seal: { at: '2026-06-01T11:59:59Z' } } },
    next: 'fail',
    says: /demo-3 cannot be stopped: node node-3 does not answer.*kubectl delete node node-3.*Nothing was stopped/,
  },
  {
    what: 'a pod that should have ended long ago',
    given: { overdue: 61_000, more: { check: CHECK } },
    next: 'fail',
    says: /demo-3 cannot be stopped/,
  },
  {
    what: 'a pod that is about to end',
    given: { overdue: 1_000, more: { check: CHECK, seal: { at: '2026-06-01T11:59:59Z' } } },
    next: 'stop',
    says: /asks for the restore/,
    mark: ['asked'],
  },
  { what: 'not asked yet', given: {}, next: 'check', says: /asks what/ },
  {
    what: 'no primary that brings its last WAL to the archive',
    given: { restore: at(NOW), more: { check: { ok: false, why: 'after the last WAL', window: WINDOW } } },
    next: 'check',
    says: /no primary serves yet/,
  },
  {
    what: 'no primary for long',
    given: {
      restore: at(NOW),
      more: { check: { ok: false, why: 'after the last WAL', window: WINDOW } },
      since: 61_000,
    },
    next: 'fail',
    says: /after the last WAL/,
  },
  {
    what: 'no primary, and nothing that it could bring would help',
    given: {
      restore: at(NOW - 90_000),
      more: { check: { ok: false, why: 'before the first backup', window: WINDOW } },
    },
    next: 'fail',
    says: /before the first backup/,
  },
  {
    what: 'outside the window',
    given: {
      more: {
        check: { ok: false, why: 'before the first backup; recoverable from A to B', window: WINDOW },
        seal: { at: 'then' },
      },
    },
    next: 'fail',
    says: /recoverable from A to B/,
  },
  {
    what: 'nobody can look yet',
    given: { more: { check: { unreachable: 'timeout' } } },
    next: 'check',
    says: /timeout/,
  },
  {
    what: 'nobody can look for long',
    given: { more: { check: { unreachable: 'timeout' } }, since: 61_000 },
    next: 'fail',
    says: /not known: timeout/,
  },
  {
    what: 'the whole cluster is down',
    given: { more: { check: { unreachable: 'no instance' } }, since: 61_000, headless: true },
    next: 'stop',
    says: /asks for the restore/,
    mark: ['asked'],
  },
  {
    what: 'it can be done',
    given: { more: { check: CHECK, seal: { at: '2026-06-01T11:59:59Z' } } },
    next: 'stop',
    says: /asks for the restore/,
    mark: ['asked'],
  },
  {
    what: 'the last WAL is not archived yet',
    given: { more: { check: CHECK, seal: { problem: 'full' } } },
    next: 'check',
    says: /full/,
  },
  {
    what: 'the last WAL is never archived',
    given: { more: { check: CHECK, seal: { problem: 'full' } }, since: 61_000 },
    next: 'fail',
    says: /cannot be archived: full/,
  },
  {
    what: 'a target before what is not archived',
    given: { restore: at(NOW - 30_000), more: { check: CHECK, seal: { problem: 'full' } }, since: 61_000 },
    next: 'stop',
    says: /asks/,
    mark: ['asked'],
  },
  { what: 'killed before the mark', given: { notes: asked }, next: 'stop', says: /asks/, mark: ['asked'] },
  { what: 'stopping', given: { notes: asked, stage: 'stopping' }, next: 'stop', says: /./ },
  {
    what: 'restoring',
    given: {
      notes: asked,
      stage: 'restoring',
      report: { progress: { doing: 'x', done: 7, total: 100, unit: '%' } },
    },
    next: 'restore',
    says: /./,
  },
  {
    what: 'it leads',
    given: { notes: asked, stage: 'restoring', report: { leader: true } },
    next: 'answer',
    says: /./,
  },
  {
    what: 'it cannot be restored',
    given: {
      notes: asked,
      stage: 'restoring',
      report: { error: { code: 'RecoveryFailed', message: 'WAL 5 is missing' } },
    },
    next: 'restore',
    says: /WAL 5 is missing; the state from before is coming back/,
    mark: ['back'],
  },
  {
    what: 'another error passes',
    given: {
      notes: asked,
      stage: 'restoring',
      report: { error: { code: 'ReferenceMissing', message: 'x' } },
    },
    next: 'restore',
    says: /./,
  },
  {
    what: 'going back',
    given: { notes: { ...asked, failure: 'WAL 5 is missing' }, stage: 'returning' },
    next: 'restore',
    says: /coming back/,
    mark: ['back'],
  },
  {
    what: 'back',
    given: { notes: { ...asked, failure: 'WAL 5 is missing' }, stage: 'returned' },
    next: 'fail',
    says: /WAL 5 is missing; the cluster is as it was before/,
    mark: ['taken away'],
  },
  {
    what: 'back, and the old primary only starts',
    given: { notes: { ...asked, failure: 'WAL 5 is missing' }, stage: 'returned', headless: true },
    next: 'restore',
    says: /volumes from before are back, and their primary starts/,
  },
  {
    what: 'back, and the old primary does not start',
    given: {
      notes: { ...asked, failure: 'WAL 5 is missing', returned: String(NOW - 121_000) },
      stage: 'returned',
      headless: true,
    },
    next: 'fail',
    says: /no primary serves from them yet/,
    mark: ['taken away'],
  },
  { what: 'replicas', given: { notes: asked, stage: 'rebuilding' }, next: 'rebuild replicas', says: /./ },
  { what: 'cleaning', given: { notes: asked, stage: 'cleaning' }, next: 'clean up', says: /./ },
  {
    what: 'done',
    given: {
      notes: asked,
      stage: 'done',
      recovered: {
        backup: 'B',
        time: '2026-06-01T11:00:00Z',
        xid: '7',
        lsn: '0/5',
        timeline: 4,
        finishedAt: 'x',
      },
    },
    next: 'succeed',
    says: /transaction there is 7 of 2026-06-01T11:00:00Z, LSN 0\/5, now on timeline 4/,
    mark: ['taken away'],
  },
];

for (const { what, given, next, says, mark = [] } of CASES)
  test(`restore: ${what}`, () => {
    const outcome = planRestore(facts(given));
    assert.equal(outcome.next === 'step' ? outcome.step : outcome.next, next);
    assert.match(outcome.message, says);
    assert.deepEqual(marks(outcome.actions), mark);
  });

test('restore: what is asked names the backup that was chosen, and how far the archive is whole', () => {
  const outcome = planRestore(
    facts({ restore: { repository: 'local' }, more: { check: CHECK, seal: { at: 'then' } } }),
  );
  const source = JSON.parse(outcome.notes?.source ?? '') as Record<string, unknown>;
  assert.deepEqual([source.chosen, source.completeUntil, source.number], [CHECK.chosen, 'then', 1]);
});

test('restore: where not all of the WAL is archived, a time has to be proven', () => {
  const early = facts({
    restore: at(NOW - 30_000),
    more: { check: CHECK, seal: { problem: 'full' } },
    since: 61_000,
  });
  const blind = facts({ more: { check: { unreachable: 'no instance' } }, since: 61_000, headless: true });
  for (const given of [early, blind]) {
    const { needsProof } = JSON.parse(planRestore(given).notes?.source ?? '') as { needsProof?: boolean };
    assert.equal(needsProof, true);
  }
});

test('restore: the repository is looked into only in the first step', () => {
  assert.equal(isToCheck(facts({})), true);
  assert.equal(isToCheck(facts({ notes: asked })), false);
  assert.equal(isToCheck(facts({ spec: {} })), false);
});

test('restore: what was called off before it began is not asked for again', () => {
  const outcome = planRestore(facts({ notes: { ...asked, calledOffAt: '1' } }));
  assert.deepEqual([outcome.next, outcome.message], ['fail', 'nothing had begun']);
});

test('restore: past the deadline it goes back, unless the restored primary has answered', () => {
  assert.deepEqual(marks(abandonRestore(facts({ notes: asked, stage: 'restoring' }))), ['back']);
  assert.deepEqual(marks(abandonRestore(facts({ notes: asked, stage: 'rebuilding' }))), []);
  assert.deepEqual(marks(abandonRestore(facts({ notes: asked, stage: 'returned' }))), []);
  assert.deepEqual(marks(abandonRestore(facts({ notes: asked }))), ['taken away']);
  assert.deepEqual(marks(abandonRestore(facts({}))), []);
});
