import assert from 'node:assert/strict';
import type { Scenario } from '../scenario.ts';
import type { Stage, WriterOptions } from '../stage.ts';

export const postmasterKilled: Scenario = {
  name: 'postmaster-killed',
  title: "the primary's postmaster is killed with SIGKILL",
  shares: true,
  run: (stage) => killPostmaster(stage, {}),
};

export const postmasterKilledPipelining: Scenario = {
  name: 'postmaster-killed-pipelining',
  title: "the primary's postmaster is killed with SIGKILL while a client has many statements under way",
  shares: true,
  // Backends outlive their postmaster and go on acknowledging what lies in their buffers: a client that sends
  // without waiting would notice.
  run: (stage) => killPostmaster(stage, { pipeline: 200, paceMs: 1 }),
};

async function killPostmaster(stage: Stage, options: WriterOptions): Promise<void> {
  await stage.sharedCluster();
  const writer = await stage.startWriter(options);
  const primary = await stage.primary();
  const since = stage.now();
  await stage.killPostmaster(primary);
  const next = await stage.newPrimary(primary);
  stage.note(`${primary} -> ${next}`);
  await stage.written(writer, 300);
  await stage.ready();
  await stage.check(writer, since);
  assert.equal(await stage.sql('SELECT pg_is_in_recovery()', ['--instance', primary]), 't');
}
