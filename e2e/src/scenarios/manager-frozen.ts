import { waitFor } from '@pgherd/cli';
import type { Scenario } from '../scenario.ts';

export const managerFrozen: Scenario = {
  name: 'manager-frozen',
  title: "the primary's instance manager is frozen with SIGSTOP while PostgreSQL runs",
  shares: true,
  async run(stage) {
    await stage.sharedCluster();
    const writer = await stage.startWriter();
    const primary = await stage.primary();
    const before = await stage.epoch();
    const started = await stage.sql('SELECT pg_postmaster_start_time()');
    const since = stage.now();
    // Nobody thaws it: the guard must kill PostgreSQL by itself, before another instance may lead.
    await stage.signalManager(primary, 'STOP');
    await waitFor(async () => (await stage.epoch()) > before, {
      timeoutMs: stage.patience(40_000),
      everyMs: 50,
      describe: () => `nobody leads in place of the frozen ${primary}`,
    });
    // Who leads now may be the same instance: what it was before is dead for certain, so nothing speaks against it.
    stage.note(`${primary} -> ${await stage.primary()}`);
    await stage.written(writer, 300);
    await stage.ready();
    await stage.check(writer, since);
    // With promises another leads before that: the old one can have nothing confirmed meanwhile.
    const startOf = () => stage.sql('SELECT pg_postmaster_start_time()', ['--instance', primary]);
    await waitFor(async () => (await startOf().catch(() => started)) !== started, {
      timeoutMs: stage.patience(40_000),
      describe: () => `the PostgreSQL of the frozen ${primary} has not ended`,
    });
    await stage.ready();
  },
};
