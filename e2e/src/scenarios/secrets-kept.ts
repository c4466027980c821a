import assert from 'node:assert/strict';
import { names } from '@pgherd/api';
import { kinds } from '@pgherd/kube';
import { readSecret } from '../certificates.ts';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';
import { operatorDeployment } from '../world.ts';

export const secretsKept: Scenario = {
  name: 'secrets-kept',
  title: 'no password and no key is in a log, an event, the status, an argument or an environment',
  alongside: true,
  async run(stage) {
    await stage.createCluster({ instances: 2, enableSuperuserAccess: true });
    const secrets = await secretValues(stage);
    const places = await everywhere(stage);
    for (const [place, text] of places)
      for (const [what, value] of secrets) assert.ok(!text.includes(value), `${what} is in ${place}`);
    stage.note(`${secrets.size} secrets looked for in ${places.size} places`);
  },
};

/** What must not be seen, by what it is. */
async function secretValues(stage: Stage): Promise<Map<string, string>> {
  const own = names(stage.cluster);
  const found = new Map<string, string>();
  for (const name of [own.app, own.superuser]) {
    const { password = '' } = await readSecret(stage, name);
    assert.ok(password.length >= 16, `${name} has no password`);
    found.set(`the password in ${name}`, password);
    found.set(`the password in ${name}, as the API shows it`, Buffer.from(password).toString('base64'));
  }
  for (const [name, key] of [
    [own.ca, 'ca.key'],
    [own.server, 'tls.key'],
    [own.replication, 'tls.key'],
  ] as const) {
    // Its second line: the first is the same in every key.
    const line = (await readSecret(stage, name))[key]?.split('\n')[1] ?? '';
    assert.ok(line.length > 30, `${name} has no key`);
    found.set(`the key in ${name}`, line);
  }
  return found;
}

/** Run by Node, since the operator's image has no shell: prints what `ps` would show of all processes there. */
const PROCESSES = `
const { readdirSync, readFileSync } = require('node:fs');
for (const pid of readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name)))
  for (const part of ['cmdline', 'environ'])
    try { console.log(readFileSync('/proc/' + pid + '/' + part, 'utf8').replaceAll('\\0', '\\n')); } catch {}
`;

async function everywhere(stage: Stage): Promise<Map<string, string>> {
  const places = new Map<string, string>();
  const kubectl = async (place: string, args: string[]) => {
    const { code, stdout, stderr } = await stage.kubectl(args);
    assert.equal(code, 0, `${place}: ${stderr}`);
    places.set(place, stdout);
  };
  await kubectl('the objects', ['get', 'clusters,pods,services,configmaps,leases,pvc,pdb', '-o', 'yaml']);
  await kubectl('the events', ['get', 'events', '-o', 'yaml']);
  const { metadata } = await operatorDeployment(stage.client);
  const operators = await stage.client.list(kinds.Pod, { namespace: metadata.namespace });
  for (const { metadata: pod } of operators.items) {
    const namespace = ['-n', String(metadata.namespace)];
    await kubectl(`the log of ${pod.name}`, ['logs', ...namespace, pod.name]);
    const seen = `arguments and environments in ${pod.name}`;
    await kubectl(seen, ['exec', ...namespace, pod.name, '--', '/pgherd/bin/node', '-e', PROCESSES]);
    assert.match(places.get(seen) ?? '', /OPERATOR_IMAGE=/, 'environments can be read');
  }
  for (const { metadata: pod } of await stage.instances()) {
    for (const container of ['postgres', 'bootstrap'])
      await kubectl(`the log of ${container} in ${pod.name}`, ['logs', pod.name, '-c', container]);
    const all =
      'for f in /proc/[0-9]*/cmdline /proc/[0-9]*/environ; do tr "\\0" "\\n" <$f; done 2>/dev/null; true';
    const seen = await stage.inPod(pod.name, all);
    assert.match(seen, /CLUSTER_NAME=/, 'environments can be read');
    places.set(`arguments and environments in ${pod.name}`, seen);
  }
  return places;
}
