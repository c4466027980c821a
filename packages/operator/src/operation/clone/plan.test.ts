import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANNOTATION_CLONE_OF, validateCluster } from '@pgherd/api';
import type { ClusterObject } from '../../cluster/kind.ts';
import { healthyFacts } from '../../testing/facts.ts';
import { baseFacts } from '../../testing/operations.ts';
import { abandonClone, type CloneFacts, planClone, withoutSource } from './plan.ts';

const BACKUP = { backup: { repositories: [{ name: 'local', volume: { size: '1Gi' } }] } };

function facts(o: {
  clone?: object;
  spec?: object;
  notes?: Record<string, string>;
  copy?: object | 'foreign';
  headless?: boolean;
  seal?: CloneFacts['seal'];
  check?: CloneFacts['check'];
  claimed?: string;
  since?: number;
}): CloneFacts {
  const cluster = healthyFacts(o.spec ?? BACKUP);
  if (o.headless) cluster.lease!.holder = null;
  const base = baseFacts(cluster, { type: 'Clone', clone: { name: 'copy', ...o.clone } }, o.notes ?? {});
  base.operation.status!.startedAt = new Date(base.now - (o.since ?? 0)).toISOString();
  if (!o.copy)
    return {
      ...base,
      ...(o.claimed ? { claimed: o.claimed } : {}),
      ...(o.seal ? { seal: o.seal } : {}),
      ...(o.check ? { check: o.check } : {}),
    };
  const uid = o.copy === 'foreign' ? 'another' : base.operation.metadata.uid;
  const copy = {
    metadata: { name: 'copy', uid: 'copy-uid', annotations: { [ANNOTATION_CLONE_OF]: uid } },
    status: o.copy,
  };
  return { ...base, copy: copy as unknown as ClusterObject };
}

const asked = { asked: 'true' };
const recovered = {
  backup: 'B',
  timeline: 2,
  finishedAt: 'then',
  time: '2026-06-01T11:00:00Z',
  lsn: '0/5',
  xid: '7',
};
const CASES: { what: string; facts: CloneFacts; next: string; says: RegExp; does?: string[] }[] = [
  {
    what: 'the last WAL is archived',
    facts: facts({ seal: { at: 'then' } }),
    next: 'create the cluster',
    says: /from its backups/,
    does: ['createCluster'],
  },
  {
    what: 'the last WAL is not archived yet',
    facts: facts({ seal: { problem: 'full' } }),
    next: 'check',
    says: /not archived: full/,
  },
  {
    what: 'the last WAL is never archived',
    facts: facts({ seal: { problem: 'full' }, since: 61_000 }),
    next: 'fail',
    says: /not archived: full/,
  },
  {
    what: 'the last WAL is not archived, and the target lies before it',
    facts: facts({
      clone: { recoveryTarget: { targetTime: '2026-06-01T11:00:00Z' } },
      seal: { problem: 'full' },
      check: {
        ok: true,
        chosen: { backup: 'B', timeline: 1 },
        window: { lastMs: Date.parse('2026-06-01T11:30:00Z') },
      },
    }),
    next: 'create the cluster',
    says: /from its backups/,
    does: ['createCluster'],
  },
  {
    what: 'it is made',
    facts: facts({}),
    next: 'create the cluster',
    says: /from its backups at the latest point/,
    does: ['createCluster'],
  },
  {
    what: 'a volume of its name, which may be about to go',
    facts: facts({ claimed: 'copy-1' }),
    next: 'check',
    says: /volume claim copy-1 already/,
  },
  {
    what: 'a volume of its name that stays',
    facts: facts({ claimed: 'copy-1', clone: { live: true }, since: 31_000 }),
    next: 'fail',
    says: /volume claim copy-1 already: delete it, or choose another name/,
  },
  {
    what: 'live',
    facts: facts({ clone: { live: true } }),
    next: 'create the cluster',
    says: /live/,
    does: ['createCluster'],
  },
  {
    what: 'live where there are no backups',
    facts: facts({ spec: {} }),
    next: 'create the cluster',
    says: /live/,
    does: ['createCluster'],
  },
  {
    what: 'from backups that are not there',
    facts: facts({ spec: {}, clone: { live: false } }),
    next: 'fail',
    says: /no spec.backup/,
  },
  {
    what: 'live without a primary',
    facts: facts({ spec: {}, headless: true }),
    next: 'fail',
    says: /no primary/,
  },
  {
    what: 'to no time',
    facts: facts({ clone: { recoveryTarget: { targetTime: '2026-02-30 10:00:00' } } }),
    next: 'fail',
    says: /no such day/,
  },
  {
    what: 'from a repository that is not there',
    facts: facts({ clone: { repository: 'far' } }),
    next: 'fail',
    says: /no repository far/,
  },
  {
    what: 'to what cannot be reached',
    facts: facts({
      check: { ok: false, why: 'the target lies in the future; recoverable from A to B', window: {} },
    }),
    next: 'fail',
    says: /recoverable from A to B/,
  },
  {
    what: 'while nobody can look',
    facts: facts({ check: { unreachable: 'timeout' } }),
    next: 'check',
    says: /timeout/,
  },
  {
    what: 'nobody can look for long: the clone finds out by itself',
    facts: facts({ check: { unreachable: 'timeout' }, since: 61_000 }),
    next: 'create the cluster',
    says: /creates/,
    does: ['createCluster'],
  },
  { what: 'over another cluster', facts: facts({ copy: 'foreign' }), next: 'fail', says: /already/ },
  {
    what: 'over one that came meanwhile',
    facts: facts({ notes: asked, copy: 'foreign' }),
    next: 'fail',
    says: /already/,
  },
  {
    what: 'killed before it was made',
    facts: facts({ notes: asked }),
    next: 'create the cluster',
    says: /creates/,
    does: ['createCluster'],
  },
  {
    what: 'seen',
    facts: facts({ notes: asked, copy: { phase: 'Creating' } }),
    next: 'copy the data',
    says: /not begun/,
  },
  {
    what: 'deleted meanwhile',
    facts: facts({ notes: { ...asked, seen: 'true' } }),
    next: 'fail',
    says: /deleted before/,
  },
  {
    what: 'restoring',
    facts: facts({ notes: asked, copy: { phase: 'Restoring', phaseReason: 'restores 7 %' } }),
    next: 'copy the data',
    says: /restores 7 %/,
  },
  {
    what: 'its replicas',
    facts: facts({ notes: asked, copy: { phase: 'WaitingForReplicas', phaseReason: 'copy-2', recovered } }),
    next: 'replicas stream',
    says: /copy-2/,
  },
  {
    what: 'whole',
    facts: facts({ notes: asked, copy: { phase: 'Ready', phaseReason: 'all well', recovered } }),
    next: 'succeed',
    says: /ready/,
  },
  {
    what: 'failed',
    facts: facts({ notes: asked, copy: { phase: 'Failed', phaseReason: 'no such WAL' } }),
    next: 'fail',
    says: /no such WAL; it was deleted again/,
    does: ['deleteCluster'],
  },
];

for (const { what, facts: given, next, says, does = [] } of CASES)
  test(what, () => {
    const outcome = planClone(given);
    assert.equal(outcome.next === 'step' ? outcome.step : outcome.next, next);
    assert.match(outcome.message, says);
    assert.deepEqual(
      (outcome.actions ?? []).map((action) => action.do),
      does,
    );
  });

test('the new cluster is one that the API takes, with the topology of the old one and secrets of its own', () => {
  const outcome = planClone(
    facts({
      spec: {
        ...BACKUP,
        postgresql: { parameters: { work_mem: '8MB' } },
        superuserSecret: { name: 'root' },
        certificates: { serverCASecret: 'ours', serverTLSSecret: 'ours' },
        enableSuperuserAccess: true,
        bootstrap: {
          initdb: { database: 'shop', owner: 'keeper', secret: { name: 'mine' }, postInitSQL: ['select 1'] },
        },
      },
      clone: { recoveryTarget: { targetXID: '7' }, repository: 'local' },
    }),
  );
  const action = outcome.actions?.[0];
  assert.ok(action?.do === 'createCluster');
  assert.deepEqual(validateCluster(action.object), []);
  const { spec } = action.object;
  assert.equal(spec.instances, 3);
  assert.deepEqual(spec.postgresql, { parameters: { work_mem: '8MB' } });
  assert.equal(spec.backup, undefined);
  assert.equal(spec.superuserSecret, undefined);
  assert.equal(spec.certificates, undefined);
  assert.deepEqual(spec.bootstrap, {
    recovery: {
      source: { cluster: 'demo', repositoryName: 'local' },
      recoveryTarget: { targetXID: '7' },
      database: 'shop',
      owner: 'keeper',
    },
  });
});

test('past its deadline, what never served goes, and what serves stays', () => {
  assert.equal(abandonClone(facts({ notes: asked, copy: { phase: 'Restoring' } })).length, 1);
  assert.equal(abandonClone(facts({ notes: asked, copy: { phase: 'Degraded', recovered } })).length, 0);
  assert.equal(abandonClone(facts({ notes: asked, copy: 'foreign' })).length, 0);
});

test('clone: what becomes of it without its source', () => {
  assert.match(withoutSource(facts({ notes: asked })), /cluster copy was not made/);
  assert.match(withoutSource(facts({ notes: asked, copy: 'foreign' })), /cluster copy was not made/);
  assert.match(withoutSource(facts({ notes: asked, copy: { phase: 'Restoring' } })), /was deleted again/);
  assert.match(
    withoutSource(facts({ notes: asked, copy: { phase: 'Degraded', recovered } })),
    /goes on by itself/,
  );
});
