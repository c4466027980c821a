import assert from 'node:assert/strict';
import { waitFor } from '@pgherd/cli';
import type { Scenario } from '../scenario.ts';

export const settingsChanged: Scenario = {
  name: 'settings-changed',
  title: 'settings that need a restart are rolled out under write load, higher ones and lower ones',
  alongside: true,
  async run(stage) {
    await stage.createCluster({ instances: 3 });
    await stage.ready();
    const writer = await stage.startWriter();
    const primary = await stage.primary();
    const since = stage.now();
    await stage.setParameters({ max_connections: '150', work_mem: '8MB' });
    const names = (await stage.instances()).map(({ metadata }) => metadata.name);
    for (const name of names)
      await waitFor(
        async () => ((await stage.inPod(name, SHOW).catch(() => '')).trim() === '150/8MB' ? true : undefined),
        { timeoutMs: stage.patience(90_000), describe: () => `${name} does not run with the new settings` },
      );
    await stage.ready();
    assert.notEqual(await stage.primary(), primary, 'the primary hands over before its restart');
    await stage.written(writer, 100);
    // Lower than what the standbys were made with: the primary restarts in place first.
    await stage.setParameters({ max_connections: '90' });
    for (const name of names)
      await waitFor(
        async () => ((await stage.inPod(name, SHOW).catch(() => '')).trim() === '90/8MB' ? true : undefined),
        { timeoutMs: stage.patience(90_000), describe: () => `${name} does not run with the lower setting` },
      );
    await stage.ready();
    await stage.written(writer, 100);
    await stage.check(writer, since, 10_000);
  },
};

const SHOW = `psql -h /run/postgresql -U postgres -Atc "select current_setting('max_connections') || '/' || current_setting('work_mem')"`;
