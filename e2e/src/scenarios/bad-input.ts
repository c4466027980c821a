import assert from 'node:assert/strict';
import { stringify } from 'yaml';
import type { Scenario } from '../scenario.ts';

interface Case {
  what: string;
  spec?: Record<string, unknown>;
  name?: string;
  /** What the refusal must name. */
  says: RegExp;
}

const storage = { size: '1Gi' };

const CASES: Case[] = [
  {
    what: 'no instances',
    spec: { instances: 0, storage },
    says: /spec\.instances.*greater than or equal to 1/s,
  },
  { what: 'minus one instance', spec: { instances: -1, storage }, says: /spec\.instances/ },
  { what: 'an unknown field', spec: { storage, instancs: 3 }, says: /unknown field "spec\.instancs"/ },
  {
    what: 'an unknown field deep down',
    spec: { storage: { size: '1Gi', klass: 'x' } },
    says: /unknown field "spec\.storage\.klass"/,
  },
  { what: 'a size that is none', spec: { storage: { size: '10Gx' } }, says: /spec\.storage\.size/ },
  {
    what: 'two bootstrap methods',
    spec: { storage, bootstrap: { initdb: {}, recovery: { backup: { name: 'nightly' } } } },
    says: /spec\.bootstrap.*at most one of initdb, recovery, pg_basebackup/s,
  },
  {
    what: 'more synchronous replicas than there are replicas',
    spec: { instances: 2, storage, postgresql: { synchronous: { method: 'any', number: 2 } } },
    says: /synchronous\.number must be less than spec\.instances/,
  },
  {
    what: 'a parameter that pgherd owns',
    spec: { storage, postgresql: { parameters: { primary_conninfo: 'x' } } },
    says: /primary_conninfo/,
  },
  {
    what: 'another one',
    spec: { storage, postgresql: { parameters: { archive_command: 'true' } } },
    says: /archive_command cannot be set here/,
  },
  {
    what: 'a time that is none',
    spec: { storage, bootstrap: { recovery: { recoveryTarget: { targetTime: '2026-13-28 25:00' } } } },
    says: /targetTime.*must be a time that exists/s,
  },
  { what: 'a duration that is none', spec: { storage, stopDelay: 'abc' }, says: /spec\.stopDelay/ },
  {
    what: 'a parameter value that is no text',
    spec: { storage, postgresql: { parameters: { max_connections: 100 } } },
    says: /spec\.postgresql\.parameters\.max_connections.*string/s,
  },
  { what: 'a name of 51 characters', name: 'a'.repeat(51), spec: { storage }, says: /at most 50 characters/ },
  { what: 'a name with a dot', name: 'a.b', spec: { storage }, says: /no dot/ },
  { what: 'a negative time', spec: { storage, stopDelay: -1 }, says: /spec\.stopDelay/ },
  {
    what: 'Lease times in the wrong order',
    spec: { storage, primaryLease: { renewInterval: 7 } },
    says: /renewInterval must be shorter/,
  },
];

export const badInput: Scenario = {
  name: 'bad-input',
  title: 'manifests with mistakes are refused with the field and the remedy',
  alongside: true,
  async run(stage) {
    for (const { what, name = 'wrong', spec, says } of CASES) {
      const manifest = { apiVersion: 'pgherd.io/v1', kind: 'Cluster', metadata: { name }, spec };
      const result = await stage.kubectl(['create', '--validate=strict', '-f', '-'], {
        input: stringify(manifest),
      });
      assert.notEqual(result.code, 0, `${what} was accepted`);
      assert.match(result.stderr, says, what);
    }
    await stage.createCluster({ instances: 1, postgresql: {}, storage: { size: '2Gi' } });
    await refusedChange(stage, { storage: { size: '1Gi' } }, /cannot shrink/);
    await refusedChange(stage, { storage: { storageClass: 'other' } }, /cannot be changed/);
    await refusedChange(stage, { bootstrap: { initdb: { database: 'other' } } }, /used once/);
    await stage.changeSpec({
      instances: 2,
      postgresql: { synchronous: { method: 'any', number: 1 } },
    });
    await refusedChange(stage, { instances: 1 }, /raise spec\.instances, or lower the number/);
    stage.note(`${CASES.length + 4} mistakes refused`);
  },
};

async function refusedChange(
  stage: Parameters<Scenario['run']>[0],
  spec: object,
  says: RegExp,
): Promise<void> {
  const result = await stage.kubectl([
    'patch',
    'cluster',
    stage.cluster,
    '--type=merge',
    '-p',
    JSON.stringify({ spec }),
  ]);
  assert.notEqual(result.code, 0, `a change to ${JSON.stringify(spec)} was accepted`);
  assert.match(result.stderr, says);
}
