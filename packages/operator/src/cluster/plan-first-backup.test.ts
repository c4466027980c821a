import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackupInfo } from '@pgherd/api';
import { healthyFacts, instance, testReport } from '../testing/facts.ts';
import type { Facts } from './facts.ts';
import { planFirstBackup } from './plan-first-backup.ts';

const SPEC = {
  backup: {
    repositories: [
      { name: 'local', volume: { size: '1Gi' } },
      { name: 'far', volume: { size: '1Gi' } },
    ],
  },
};

const TEN = ['1110', '1112', '1116', '1124', '1134', '1144', '1151'];

const BEGAN = Date.UTC(2026, 5, 1, 11);

function facts(o: {
  ready?: string[];
  backups?: number[];
  info?: false;
  restoring?: boolean;
  /** When the repository local was added to the running cluster. */
  since?: string;
  spec?: object;
  /** Of repository 1, as pgBackRest says it. */
  code?: number;
  open?: string[];
  stale?: boolean;
  /** A WAL file is missing in repository 1; when the first one after it came. */
  holeMs?: number;
}): Facts {
  const repositories = [{ name: 'local', number: 1, ...(o.since ? { since: o.since } : {}) }];
  const status = {
    ...(o.restoring ? { restoration: { id: 'x', stage: 'stopping', instance: 'demo-4' } } : {}),
    ...(o.since ? { backup: { repositories } } : {}),
  };
  const all = healthyFacts(o.spec ?? SPEC, 3, status);
  const { ready = ['local', 'far'], backups = [] } = o;
  const archive = { active: true, waiting: 0, repositories: ready };
  instance(all, 'demo-1').report = testReport('demo-1', 'primary', { archive });
  const info = {
    backups: backups.map((repository) => ({ repository, startedAt: BEGAN })),
    ...(o.holeMs ? { holes: [{ repository: 1, file: 'f', afterMs: o.holeMs, open: true }] } : {}),
    repositories: [{ number: 1, encrypted: false, status: { code: o.code ?? 2, message: 'x' } }],
  } as unknown as BackupInfo;
  const { open = [], stale = false } = o;
  all.backup = { claims: [], open, isStale: stale, ...(o.info === false ? {} : { info }) };
  return all;
}

const CASES: [string, Facts, string[]][] = [
  ['each repository gets one', facts({}), ['local', 'far']],
  ['one that has some gets none', facts({ backups: [1] }), ['far']],
  [
    'one that was added again gets one, whatever is in it from before',
    facts({ backups: [1], since: '2026-06-01T11:30:00Z' }),
    ['local', 'far'],
  ],
  [
    'one whose backups are all from before a missing WAL file gets one',
    facts({ backups: [1, 2], holeMs: BEGAN + 1 }),
    ['local'],
  ],
  ['and no more than that one', facts({ backups: [1, 2], holeMs: BEGAN - 1 }), []],
  ['but no more than one', facts({ backups: [1], since: '2026-06-01T10:30:00Z' }), ['far']],
  ['one that is not ready has to wait', facts({ ready: ['far'] }), ['far']],
  ['what is not known is not guessed', facts({ info: false }), []],
  ['one that cannot be read may have some', facts({ code: 99 }), ['far']],
  ['one that is being made', facts({ open: ['demo-first-local-202606011130'] }), ['far']],
  ['what is known is from before the last one ended', facts({ stale: true }), []],
  ['not in the middle of a restore', facts({ restoring: true }), []],
  ['not where nothing is backed up', facts({ spec: {} }), []],
];
for (const [what, given, expected] of CASES)
  test(`first backups: ${what}`, () => {
    const made = planFirstBackup(given).map((action) =>
      action.do === 'create' ? action.object.metadata.name : '',
    );
    assert.deepEqual(
      made,
      expected.map((name) => `demo-first-${name}-202606011200`),
    );
  });

for (const [what, asked, expected] of [
  ['what was made this minute is not made again', ['local-202606011200', 'far-202606011200'], []],
  ['after a minute, the next one', ['local-202606011159', 'far-202606011200'], ['local']],
  ['after two, the third one', ['local-202606011155', 'local-202606011159', 'far-202606011200'], []],
  ['after many, it takes ten minutes', TEN.map((minute) => `local-20260601${minute}`), ['far']],
] as const)
  test(`first backups: ${what}`, () => {
    const given = facts({});
    given.asked = new Set(asked.map((name) => `demo-first-${name}`));
    const made = planFirstBackup(given).map((action) =>
      action.do === 'create' ? action.object.metadata.name : '',
    );
    assert.deepEqual(
      made,
      expected.map((name) => `demo-first-${name}-202606011200`),
    );
  });

test('first backups: none while one runs', () => {
  const given = facts({});
  given.backup!.info!.running = true;
  assert.deepEqual(planFirstBackup(given), []);
});
