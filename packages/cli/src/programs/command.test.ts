import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { reset } from '@pgherd/local';
import { buildCommand } from './command.ts';

test('the bundled command is a plugin of kubectl, and brings local mode up without the sources', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'pgherd-command-'));
  const state = join(dir, 'state');
  t.after(async () => {
    await reset({ state });
    rmSync(dir, { recursive: true, force: true });
  });
  const command = join(dir, 'kubectl-pgherd');
  const { bytes } = await buildCommand(command);
  assert.ok(bytes < 6 * 2 ** 20, `${bytes} bytes`);
  rmSync(join(dir, 'package.json'));
  const env = {
    PATH: [dir, process.env.PATH].join(delimiter),
    HOME: dir,
    PGHERD_STATE: state,
    PGHERD_NODE: process.execPath,
    PGHERD_DIE_WITH: String(process.pid),
  };
  const options = { encoding: 'utf8', cwd: dir, env, timeout: 120_000 } as const;
  // Started by the Node of this machine, which may be an old one.
  const help = execFileSync('kubectl-pgherd', ['--help'], options);
  assert.match(help, /^Usage: kubectl pgherd /);

  execFileSync('kubectl-pgherd', ['local', 'up', '--nodes', '1'], options);
  const pids = readdirSync(join(state, 'run')).filter((name) => name.endsWith('.pid'));
  assert.ok(pids.length >= 4, pids.join());
  for (const name of pids) {
    const { pid } = JSON.parse(readFileSync(join(state, 'run', name), 'utf8')) as { pid: number };
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    const programs = words.filter((word) => /\/node$|\.m?[jt]s$/.test(word));
    assert.deepEqual(
      programs.filter((word) => !word.startsWith(state)),
      [],
      name,
    );
  }
  if (existsSync('/usr/bin/kubectl')) {
    const kubectl = { ...options, env: { ...env, KUBECONFIG: join(state, 'kubeconfig') } };
    assert.match(
      execFileSync('kubectl', ['pgherd', 'version', '-o', 'json'], kubectl),
      /"operator": "ghcr.io/,
    );
  }
  const missing = spawnSync('kubectl-pgherd', ['status', 'nobody'], options);
  assert.equal(missing.status, 3, missing.stderr);
});
