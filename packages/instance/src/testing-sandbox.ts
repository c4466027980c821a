/**
 * For tests that need file systems or paths of their own: a test file runs itself again in a mount and network
 * namespace that bubblewrap makes.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The folder of the volumes, within; undefined outside. */
export const sandbox = process.env.PGHERD_TEST_SANDBOX;

export interface SandboxOptions {
  /** The test file. */
  file: string;
  /** Sizes of small file systems in megabytes, by the names of their folders. */
  volumes: Record<string, number>;
  /** Has the scripts that PostgreSQL calls, and `/run/pgherd`, as a pod does. */
  pod?: boolean;
}

const MB = 1 << 20;
const TIMEOUT_MS = 240_000;

/** Runs the file again within, and fails with what it printed; skips where there can be no namespace. */
export function runInside(t: { skip(why: string): void }, { file, volumes, pod }: SandboxOptions): void {
  const folder = mkdtempSync(join(tmpdir(), 'pgherd-volumes-'));
  try {
    const mounts = Object.entries(volumes).flatMap(([name, megabytes]) => {
      const path = join(folder, name);
      mkdirSync(path);
      return ['--perms', '0777', '--size', String(megabytes * MB), '--tmpfs', path];
    });
    chmodSync(folder, 0o755);
    const flags = [
      ...root(),
      ...mounts,
      ...(pod ? podMounts(folder) : []),
      '--unshare-net',
      '--cap-add',
      'ALL',
      '--die-with-parent',
    ];
    if (spawnSync('bwrap', [...flags, 'true']).status !== 0) {
      t.skip('bubblewrap cannot make namespaces here');
      return;
    }
    // Else the runner takes us for one of its own and says nothing.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const { status, stdout } = spawnSync(
      'bwrap',
      [...flags, process.execPath, '--test', '--test-reporter=spec', file],
      { env: { ...env, PGHERD_TEST_SANDBOX: folder }, encoding: 'utf8', timeout: TIMEOUT_MS },
    );
    if (process.env.PGHERD_TEST_LOG) console.error(stdout);
    assert.equal(status, 0, stdout);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Everything that is there, below a root in which more can be put. */
function root(): string[] {
  return readdirSync('/', { withFileTypes: true }).flatMap((entry) => {
    const path = join('/', entry.name);
    return entry.isSymbolicLink() ? ['--symlink', readlinkSync(path), path] : ['--dev-bind', path, path];
  });
}

function podMounts(folder: string): string[] {
  const programs = join(folder, 'programs');
  mkdirSync(programs);
  for (const name of ['archive', 'fetch']) {
    const path = join(programs, `pgbackrest-${name}`);
    copyFileSync(join(import.meta.dirname, 'backup', `${name}.sh`), path);
    chmodSync(path, 0o755);
  }
  return ['--ro-bind', programs, '/pgherd', '--tmpfs', '/run', '--perms', '0777', '--tmpfs', '/run/pgherd'];
}
