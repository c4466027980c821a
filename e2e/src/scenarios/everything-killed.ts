import assert from 'node:assert/strict';
import { bringUp } from '@pgherd/cli';
import { podProcesses } from '@pgherd/cli/pod-processes';
import { kinds } from '@pgherd/kube';
import { markedProcesses } from '@pgherd/local/net/processes';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';

export const everythingKilled: Scenario = {
  name: 'everything-killed',
  title: 'all of local mode is killed with SIGKILL, pods included, and started again',
  needs: 'own',
  because: 'kills all processes of all nodes from outside',
  async run(stage) {
    await stage.createCluster();
    const writer = await stage.startWriter({ place: 'host' });
    const since = stage.now();
    const killed = await killAll(stage);
    stage.note(`${killed} processes killed`);
    await bringUp({ state: stage.world.state ?? '' });
    await stage.ready();
    await stage.written(writer, 300);
    await stage.check(writer, since);
    const { status } = await stage.getCluster();
    assert.equal(status?.readyInstances, 3);
  },
};

/** Kills every process that belongs to this local mode: what bears its mark, and what runs in its pods. */
async function killAll(stage: Stage): Promise<number> {
  const { items } = await stage.client.list(kinds.Pod);
  const inPods = items.flatMap((pod) => podProcesses(pod.metadata.uid ?? ''));
  const all = new Set([...markedProcesses(stage.world.state ?? ''), ...inPods]);
  // The supervisor starts again what it misses, so all of them go in one go.
  for (const pid of all) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It went with another one.
    }
  }
  return all.size;
}
