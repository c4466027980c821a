// PostgreSQL refuses to run as root, so tests that root starts become another user. Below a folder that only root may
// enter, such as root's own home, the checkout would be out of that user's reach. Plain JavaScript that runs on Node 18.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ROOT, SetupError, say } from './setup.mjs';

const ENTER = 0o001;
const READ = 0o004;

/**
 * Runs a command of files in the checkout where every user can read them: in place, or in a mount that only this
 * command and its children see. Returns its exit code. Throws SetupError when others may not read the checkout itself.
 */
export function runWithinReach(command) {
  if (process.getuid() !== 0) return run(command, ROOT);
  if (!allows(ROOT, ENTER | READ))
    throw new SetupError(
      `Only root may read ${ROOT}, and the tests run PostgreSQL, which does not run as root.`,
      `chmod -R go+rX ${ROOT}, then run the same command again.`,
    );
  const closed = above(ROOT).find((folder) => !allows(folder, ENTER));
  if (!closed) return run(command, ROOT);
  const place = mkdtempSync(join(tmpdir(), 'pgherd-checkout-'));
  chmodSync(place, 0o755);
  say(`Only root may enter ${closed}: the tests see this checkout as ${place}`);
  const there = command.map((part) => (part.startsWith(`${ROOT}/`) ? place + part.slice(ROOT.length) : part));
  const mount = 'mount --bind "$1" "$2" && cd "$2" && shift 2 && exec "$@"';
  try {
    return run(['unshare', '--mount', 'sh', '-c', mount, 'sh', ROOT, place, ...there], '/');
  } finally {
    rmdirSync(place);
  }
}

function above(path) {
  const folder = dirname(path);
  return folder === path ? [] : [folder, ...above(folder)];
}

function allows(path, rights) {
  return (statSync(path).mode & rights) === rights;
}

function run([program, ...args], cwd) {
  return spawnSync(program, args, { stdio: 'inherit', cwd }).status ?? 1;
}
