import assert from 'node:assert/strict';
import { waitFor } from '@pgherd/cli';
import { stringify } from 'yaml';
import { deleteAndReplace } from '../faults.ts';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';

interface Case {
  name: string;
  spec: Record<string, unknown>;
  phase: string;
  /** What phase, condition and event must say. */
  says: RegExp;
}

const storage = { size: '1Gi' };
const LIBRARY = 'no_such_library';

const CASES: Case[] = [
  {
    name: 'image',
    spec: { storage, imageName: 'nowhere.invalid/none:1' },
    phase: 'Creating',
    says: /image-1: container \S+: (ErrImagePull|ImagePullBackOff).*nowhere\.invalid\/none:1/,
  },
  {
    name: 'secret',
    spec: { storage, bootstrap: { initdb: { secret: { name: 'nosuch' } } } },
    phase: 'Creating',
    says: /the secret nosuch .*does not exist: create it/,
  },
  {
    name: 'volume',
    spec: { storage: { ...storage, storageClass: 'nosuch' } },
    phase: 'Creating',
    says: /no node can run it: .*claim volume-1 has got no volume from the StorageClass nosuch/,
  },
  {
    name: 'node',
    spec: { storage, affinity: { nodeSelector: { disk: 'nosuch' } } },
    phase: 'Creating',
    says: /node-1: no node can run it: /,
  },
  {
    name: 'sql',
    spec: { storage, bootstrap: { initdb: { postInitSQL: ['SELECT 1', 'CREAT TABLE x ()'] } } },
    phase: 'Failed',
    says: /sql-1: running postInitSQL\[1\] "CREAT TABLE x \(\)": syntax error at or near "CREAT"/,
  },
  {
    name: 'param',
    spec: { storage, postgresql: { parameters: { work_mem: 'lots' } } },
    phase: 'Failed',
    says: /param-1: spec\.postgresql\.parameters\.work_mem: invalid value for parameter "work_mem": "lots"/,
  },
];

/** Mistakes that only show when a cluster comes to be, or once it runs. */
export const badAtRunTime: Scenario = {
  name: 'bad-at-run-time',
  title:
    'what cannot run says why; settings that PostgreSQL refuses change nothing; what is deleted comes back',
  alongside: true,
  async run(stage) {
    for (const { name, spec } of CASES) await apply(stage, name, { instances: 1, ...spec });
    await stage.createCluster({ instances: 2 });
    await stays(stage);
    await comesBack(stage);
    for (const each of CASES) await tells(stage, each);
    await change(stage, 'param', { postgresql: { parameters: { work_mem: '8MB' } } });
    const deleted = CASES.map(({ name }) => name).filter((name) => name !== 'param');
    const result = await stage.kubectl(['delete', 'cluster', ...deleted, '--wait=false']);
    assert.equal(result.code, 0, result.stderr);
    await waits(stage, ['--for=condition=Ready', 'cluster/param']);
    stage.note(`${CASES.length + 1} mistakes told`);
  },
};

async function apply(stage: Stage, name: string, spec: Record<string, unknown>): Promise<void> {
  const manifest = {
    apiVersion: 'pgherd.io/v1',
    kind: 'Cluster',
    metadata: { name },
    spec: stage.fitted(spec),
  };
  if (spec.imageName) manifest.spec.imageName = spec.imageName;
  const result = await stage.kubectl(['apply', '-f', '-'], { input: stringify(manifest) });
  assert.equal(result.code, 0, result.stderr);
}

async function change(stage: Stage, name: string, spec: object): Promise<void> {
  const patch = JSON.stringify({ spec });
  const result = await stage.kubectl(['patch', 'cluster', name, '--type=merge', '-p', patch]);
  assert.equal(result.code, 0, result.stderr);
}

async function waits(stage: Stage, what: string[]): Promise<void> {
  const result = await stage.kubectl(['wait', ...what, '--timeout=60s'], { timeoutMs: 70_000 });
  assert.equal(result.code, 0, `${what.join(' ')}: ${result.stderr}`);
}

function until(what: string, look: () => Promise<boolean>): Promise<unknown> {
  return waitFor(look, { timeoutMs: 60_000, describe: () => what });
}

const jsonpath = (path: string): string[] => ['-o', `jsonpath=${path}`];

/** Phase, condition and event, with the original error. */
async function tells(stage: Stage, { name, phase, says }: Case): Promise<void> {
  await waits(stage, [`--for=jsonpath={.status.phase}=${phase}`, `cluster/${name}`]);
  const ready = '{.status.phaseReason}|{.status.conditions[?(@.type=="Ready")].message}';
  await until(`cluster ${name} to say why`, async () => {
    const { stdout } = await stage.kubectl(['get', 'cluster', name, ...jsonpath(ready)]);
    return stdout.split('|').every((text) => says.test(text));
  });
  const warnings = `involvedObject.kind=Cluster,involvedObject.name=${name},type=Warning`;
  await until(`an event of cluster ${name} to say why`, async () => {
    const of = ['--field-selector', warnings];
    const { stdout } = await stage.kubectl(['get', 'events', ...of, ...jsonpath('{.items[*].message}')]);
    return says.test(stdout);
  });
}

/** A library that is not there would keep PostgreSQL down after the restart that it asks for. */
async function stays(stage: Stage): Promise<void> {
  const { cluster } = stage;
  await change(stage, cluster, { postgresql: { shared_preload_libraries: [LIBRARY] } });
  await waits(stage, ['--for=jsonpath={.status.phase}=Degraded', `cluster/${cluster}`]);
  const { stdout } = await stage.kubectl(['get', 'cluster', cluster, ...jsonpath('{.status.phaseReason}')]);
  assert.match(stdout, /spec\.postgresql\.shared_preload_libraries: could not access file "no_such_library"/);
  // A new pod starts with the settings that were good.
  await deleteAndReplace(stage, `${cluster}-2`);
  await waits(stage, ['--for=condition=Ready', `pod/${cluster}-2`]);
  const written = await stage.cli(['psql', cluster, '--', '-c', 'CREATE TABLE stays (i int)']);
  assert.equal(written.code, 0, written.stderr);
  await change(stage, cluster, { postgresql: { shared_preload_libraries: null } });
  await waits(stage, ['--for=condition=Ready', `cluster/${cluster}`]);
}

async function comesBack(stage: Stage): Promise<void> {
  const { cluster } = stage;
  const objects = [
    `secret/${cluster}-app`,
    `service/${cluster}-rw`,
    `lease/${cluster}-primary`,
    `rolebinding/${cluster}`,
    `role/${cluster}`,
  ];
  const uids = async (): Promise<string[]> => {
    const { stdout } = await stage.kubectl(['get', ...objects, ...jsonpath('{.items[*].metadata.uid}')]);
    return stdout.split(' ').filter(Boolean);
  };
  const before = await uids();
  assert.equal(before.length, objects.length);
  await stage.kubectl(['delete', ...objects, '--wait=false']);
  await until('what was deleted to be back', async () => {
    const now = await uids();
    return now.length === objects.length && now.every((uid) => !before.includes(uid));
  });
  await until('writes to go on', async () => {
    const { code } = await stage.cli(['psql', cluster, '--', '-c', 'INSERT INTO stays VALUES (1)']);
    return code === 0;
  });
}
