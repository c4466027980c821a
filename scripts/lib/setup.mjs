// What a machine needs before anything of ours can run. Plain JavaScript that runs on Node 18, without packages.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '..', '..');

/** Debian packages that local mode and the tests use, with the file that proves each is there. */
const DEBIAN_PACKAGES = [
  { name: 'postgresql-15', proof: '/usr/lib/postgresql/15/bin/postgres' },
  { name: 'postgresql-client-15', proof: '/usr/lib/postgresql/15/bin/psql' },
  { name: 'pgbackrest', proof: '/usr/bin/pgbackrest' },
  { name: 'bubblewrap', proof: '/usr/bin/bwrap' },
  { name: 'nftables', proof: '/usr/sbin/nft' },
  { name: 'iproute2', proof: '/usr/bin/ip', orProof: '/usr/sbin/ip' },
  { name: 'procps', proof: '/usr/bin/ps', orProof: '/bin/ps' },
  { name: 'util-linux', proof: '/usr/bin/nsenter' },
  { name: 'mount', proof: '/usr/bin/mount', orProof: '/bin/mount' },
  { name: 'locales', proof: '/usr/sbin/locale-gen' },
];

/** What only `npm test` needs: Python's client library of Kubernetes is run against local mode. */
export const TEST_PACKAGES = [
  ...DEBIAN_PACKAGES,
  { name: 'python3-kubernetes', proof: '/usr/lib/python3/dist-packages/kubernetes/__init__.py' },
];

/** A reason to stop that a person can act on. */
export class SetupError extends Error {
  constructor(message, hint) {
    super(message);
    this.hint = hint;
  }
}

/** Prints a SetupError as the reason and the remedy and ends the process; passes anything else on. */
export function failWith(error) {
  if (!(error instanceof SetupError)) throw error;
  process.stderr.write(`\npgherd: ${error.message}\n  What to do: ${error.hint}\n`);
  process.exit(1);
}

/** The path of the Node 24 that npm brought. Throws SetupError on a machine it has no build for. */
export function modernNode() {
  const path = join(ROOT, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node');
  if (existsSync(path)) return path;
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath;
  throw new SetupError(
    `Node 24 is not there for ${process.platform}/${process.arch}.`,
    'Run this on Linux x64 or arm64, or with a Node of version 24 or later.',
  );
}

/** Installs the npm packages of the lock file unless just those are installed already. */
export function ensureNpmPackages() {
  if (npmPackagesAreCurrent()) return;
  withLock('npm', () => {
    if (npmPackagesAreCurrent()) return;
    say('Installing npm packages (npm ci; Node 24 is among them)');
    const result = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: ROOT,
      stdio: ['ignore', 'inherit', 'pipe'],
      encoding: 'utf8',
      env: { ...process.env, npm_config_ignore_scripts: 'true' },
    });
    if (result.error || result.status !== 0) {
      process.stderr.write(result.stderr ?? '');
      throw new SetupError(
        'npm could not install the packages.',
        /ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|network/i.test(result.stderr ?? '')
          ? 'The npm registry was not reached: check the network, the proxy (npm config get proxy) and try again.'
          : 'See the message of npm above; then run the same command again.',
      );
    }
  });
}

/** Whether npm's own record of what it installed has every package of the lock file, in its version. */
function npmPackagesAreCurrent() {
  const record = join(ROOT, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) return false;
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages;
  const wanted = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).packages;
  return Object.entries(wanted).every(
    ([path, entry]) =>
      !path.startsWith('node_modules/') || entry.optional || installed[path]?.version === entry.version,
  );
}

/** Installs those of the Debian packages that are missing. Throws SetupError where it cannot. */
export function ensureDebianPackages(packages = DEBIAN_PACKAGES) {
  const missing = findMissing(packages);
  if (missing.length === 0) return;
  withLock('apt', () => installDebian(findMissing(packages), packages));
}

function findMissing(packages) {
  return packages
    .filter((p) => !existsSync(p.proof) && !(p.orProof && existsSync(p.orProof)))
    .map((p) => p.name);
}

function installDebian(missing, packages) {
  if (missing.length === 0) return;
  const remedy = `Install by hand: ${missing.join(' ')}, then run the same command again.`;
  if (!existsSync('/usr/bin/apt-get'))
    throw new SetupError(`These are missing and there is no apt-get here: ${missing.join(', ')}.`, remedy);
  const privilege = privilegePrefix(missing);
  say(`Installing Debian packages: ${missing.join(' ')}${privilege.length > 0 ? ' (with sudo)' : ''}`);
  const freshPostgres = missing.includes('postgresql-15') && !existsSync('/etc/postgresql-common');
  // Debian makes and starts a cluster of its own with the package; nobody asked for that one.
  if (freshPostgres) {
    privileged(privilege, ['mkdir', '-p', '/etc/postgresql-common/createcluster.d']);
    privileged(
      privilege,
      ['tee', '/etc/postgresql-common/createcluster.d/pgherd.conf'],
      '# Written by pgherd before it installed PostgreSQL: it needs the binaries only.\ncreate_main_cluster = false\n',
    );
  }
  apt(privilege, ['update', '-q'], 'apt could not read its package lists.');
  apt(privilege, ['install', '-y', '-q', '--no-install-recommends', ...missing], remedy);
  const still = findMissing(packages);
  if (still.length > 0)
    throw new SetupError(`After the installation these are still missing: ${still.join(', ')}.`, remedy);
}

function privilegePrefix(missing) {
  if (userInfo().uid === 0) return [];
  const byHand = `As root: apt-get install --no-install-recommends ${missing.join(' ')}`;
  if (!existsSync('/usr/bin/sudo'))
    throw new SetupError(
      `Debian packages are missing (${missing.join(', ')}) and there is no sudo here.`,
      byHand,
    );
  if (spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0) return ['sudo', '-n'];
  if (process.stdin.isTTY) return ['sudo'];
  throw new SetupError(
    `Debian packages are missing (${missing.join(', ')}) and sudo asks for a password, which needs a terminal.`,
    byHand,
  );
}

function privileged(prefix, command, input) {
  const [file, ...args] = [...prefix, ...command];
  return spawnSync(file, args, {
    input: input ?? '',
    stdio: ['pipe', 'ignore', 'inherit'],
    encoding: 'utf8',
  });
}

function apt(prefix, args, remedy) {
  const [file, ...rest] = [
    ...prefix,
    'env',
    'DEBIAN_FRONTEND=noninteractive',
    'LC_ALL=C',
    'apt-get',
    '-o',
    'DPkg::Lock::Timeout=120',
    ...args,
  ];
  const result = spawnSync(file, rest, {
    stdio: [prefix.includes('-n') || prefix.length === 0 ? 'ignore' : 'inherit', 'pipe', 'pipe'],
    encoding: 'utf8',
  });
  if (result.status === 0) return;
  const text = `${result.stdout ?? ''}${result.stderr ?? ''}`;
  process.stderr.write(text.split('\n').slice(-15).join('\n'));
  if (/Could not get lock|Unable to acquire|is another process using it/.test(text))
    throw new SetupError(
      'Another program holds the lock of apt.',
      'Wait until it is done, then run the same command again.',
    );
  if (/Temporary failure resolving|Could not connect|Failed to fetch/.test(text))
    throw new SetupError(
      'The Debian archive was not reached.',
      `Check the network and apt's sources. ${remedy}`,
    );
  throw new SetupError(`apt-get ${args[0]} failed.`, remedy);
}

/** Runs fn while no other process of this checkout runs the same kind of set-up. */
function withLock(kind, fn) {
  const dir = join(ROOT, `.tmp`);
  mkdirSync(dir, { recursive: true });
  const lock = join(dir, `setup-${kind}.lock`);
  const deadline = Date.now() + 600_000;
  let told = false;
  while (!takeLock(lock)) {
    if (!told) say(`Waiting for another set-up of this checkout to end (${lock})`);
    told = true;
    if (Date.now() > deadline)
      throw new SetupError(
        'Another set-up of this checkout did not end within 10 minutes.',
        `End it, or delete ${lock}.`,
      );
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  }
  try {
    fn();
  } finally {
    rmSync(lock, { force: true });
  }
}

function takeLock(lock) {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  if (!lockIsStale(lock)) return false;
  rmSync(lock, { force: true });
  return false;
}

function lockIsStale(lock) {
  try {
    const pid = Number(readFileSync(lock, 'utf8'));
    if (!pid) return Date.now() - statSync(lock).mtimeMs > 5_000;
    return !existsSync(`/proc/${pid}`);
  } catch {
    return false;
  }
}

/** One line of progress for the person who waits. */
export function say(text) {
  process.stdout.write(`» ${text}\n`);
}
