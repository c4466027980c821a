import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { findBinaries, processesIn } from '@pgherd/postgres';
import { freePort, killAllIn, testFolder, until } from '@pgherd/postgres/testing';

const folder = testFolder();
const bin = (await findBinaries())!;
const pgdata = join(folder, 'data');
const port = await freePort();
const guards: ChildProcess[] = [];

execFileSync(join(bin, 'initdb'), ['-D', pgdata, '-U', 'postgres', '--no-sync', '-A', 'trust'], {
  stdio: 'ignore',
  cwd: '/',
});
copyFileSync(join(import.meta.dirname, 'guard.sh'), join(folder, 'guard'));
chmodSync(join(folder, 'guard'), 0o755);

/** Stands for the manager: starts PostgreSQL, beats as its orders say, notes what it does. */
const MANAGER = `
import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
const [run, bin, pgdata, port] = [process.env.PGHERD_RUN, process.env.BIN, process.env.DATA, process.env.PORT];
const note = (text) => appendFileSync(run + '/notes', text + '\\n');
const fifo = openSync(run + '/beats', 'w');
const uptime = () => Number.parseFloat(readFileSync('/proc/uptime', 'utf8'));
note('start ' + process.pid);
const beat = () => writeSync(fifo, 'deadline ' + (uptime() + 1).toFixed(2) + '\\n');
if (existsSync(run + '/beating')) {
  beat();
  setInterval(beat, 100);
} else writeSync(fifo, 'none\\n');
rmSync(pgdata + '/postmaster.pid', { force: true });
const server = spawn(bin + '/postgres', ['-D', pgdata, '-c', 'listen_addresses=', '-c', 'port=' + port, '-c', 'unix_socket_directories=' + run, '-c', 'fsync=off'], { stdio: 'ignore', cwd: '/' });
setInterval(() => {
  if (!existsSync(run + '/order')) return;
  const order = readFileSync(run + '/order', 'utf8').trim();
  rmSync(run + '/order');
  if (order === 'crash') process.exit(7);
  if (order === 'useless') process.exit(3);
  if (order === 'halves') {
    writeSync(fifo, 'deadline ' + (uptime() + 2.5).toFixed(2) + '\\n');
    writeSync(fifo, 'deadline ');
    setTimeout(() => { writeSync(fifo, (uptime() + 60).toFixed(2) + '\\n'); note('whole'); }, 1500);
  }
  if (order === 'orphan') spawn('sh', ['-c', 'sleep 0.05 & exit'], { stdio: 'ignore' });
}, 20);
process.on('SIGTERM', () => { note('term'); server.kill('SIGINT'); server.on('exit', () => { note('stopped'); process.exit(0); }); });
`;
writeFileSync(join(folder, 'manager.mjs'), MANAGER);

/** Runs the guard as process 1 of a PID space of its own; the outside sees all its processes. */
function runGuard(
  name: string,
  o: { beating: boolean },
): { run: string; guard: ChildProcess; order: (text: string) => void } {
  const run = join(folder, name);
  mkdirSync(run);
  if (o.beating) writeFileSync(join(run, 'beating'), '');
  const guard = spawn(
    'bwrap',
    [
      ...[
        '--unshare-user',
        '--unshare-pid',
        '--as-pid-1',
        '--die-with-parent',
        '--dev-bind',
        '/',
        '/',
        '--proc',
        '/proc',
      ],
      join(folder, 'guard'),
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        PGHERD_RUN: run,
        PGHERD_NODE: process.execPath,
        PGHERD_MANAGER: join(folder, 'manager.mjs'),
        BIN: bin,
        DATA: pgdata,
        PGDATA: pgdata,
        PORT: String(port),
      },
    },
  );
  for (const stream of [guard.stdout, guard.stderr])
    stream.on('data', (text) => appendFileSync(join(run, 'out'), text));
  guards.push(guard);
  const order = (text: string): void => {
    writeFileSync(join(run, 'order.new'), text);
    renameSync(join(run, 'order.new'), join(run, 'order'));
  };
  return { run, guard, order };
}

const notes = (run: string): string[] =>
  existsSync(join(run, 'notes')) ? readFileSync(join(run, 'notes'), 'utf8').trim().split('\n') : [];
const starts = (run: string): number => notes(run).filter((line) => line.startsWith('start')).length;
const serving = () => until('PostgreSQL to run', () => processesIn(pgdata).length > 3);
const connectable = (run: string) => until('the socket', () => existsSync(join(run, `.s.PGSQL.${port}`)));

/** Children of a process, as the outside numbers them. */
function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

function command(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
}

/** The guard, under the bwrap that set it up. */
const guardPid = (guard: ChildProcess): number =>
  childrenOf(guard.pid!).find((pid) => command(pid).includes('/guard'))!;
/** The manager, below the shell that waits for it. */
const managerPid = (guard: ChildProcess): number | undefined =>
  childrenOf(guardPid(guard))
    .flatMap(childrenOf)
    .find((pid) => command(pid).includes('manager.mjs'));

afterEach(async () => {
  for (const guard of guards.splice(0)) {
    if (guard.exitCode !== null || guard.signalCode !== null) continue;
    const ended = new Promise((resolve) => guard.once('exit', resolve));
    guard.kill('SIGKILL');
    await ended;
  }
  await until('all to be dead', () => processesIn(pgdata).length === 0);
});

after(() => killAllIn(pgdata));

test('a beat that comes in halves, with a read given up between them, counts', async () => {
  const { run, order } = runGuard('halves', { beating: false });
  await serving();
  order('halves');
  await until('the second half', () => notes(run).includes('whole'));
  const written = performance.now();
  await until('the first deadline to pass', () => performance.now() - written > 1_500);
  assert.equal(starts(run), 1);
  assert.ok(processesIn(pgdata).length > 3, 'PostgreSQL runs on');
});

test('it refuses to run as anything but process 1', () => {
  assert.throws(() => execFileSync('sh', [join(folder, 'guard')], { stdio: 'pipe' }), /not process 1/);
});

test('a frozen manager: everything is dead at the deadline, and the manager is started again', async () => {
  const { run, guard } = runGuard('frozen', { beating: true });
  await serving();
  const first = processesIn(pgdata);
  const begin = performance.now();
  process.kill(managerPid(guard)!, 'SIGSTOP');
  await until('all of them to be dead', () => {
    const now = new Set(processesIn(pgdata));
    return first.every((pid) => !now.has(pid));
  });
  const took = performance.now() - begin;
  // The last beat allowed one second.
  assert.ok(took < 1500, `it took ${took} ms`);
  await until('a second start', () => starts(run) === 2);
  await serving();
});

test('a manager that crashes takes PostgreSQL with it and is started again at once', async () => {
  const { run, order } = runGuard('crash', { beating: false });
  await serving();
  const first = processesIn(pgdata);
  const begin = performance.now();
  order('crash');
  await until('a second start', () => starts(run) === 2);
  const took = performance.now() - begin;
  assert.ok(took < 900, `it took ${took} ms`);
  await until('the old ones to be gone', () => {
    const now = new Set(processesIn(pgdata));
    return first.every((pid) => !now.has(pid));
  });
  await serving();
});

test('orphans are reaped', async () => {
  const { guard, order } = runGuard('orphans', { beating: false });
  await serving();
  order('orphan');
  const sleeper = () => childrenOf(guardPid(guard)).find((pid) => /sleep 0.05/.test(command(pid)));
  await until('the orphan', () => sleeper() !== undefined);
  await until('its end', () => childrenOf(guardPid(guard)).length === 1); // The nurse.
});

test('SIGTERM goes to the manager, whose end ends the container', async () => {
  const { run, guard } = runGuard('term', { beating: true });
  await serving();
  await connectable(run);
  const begin = performance.now();
  const ended = new Promise<number | null>((resolve) => guard.once('exit', resolve));
  process.kill(guardPid(guard), 'SIGTERM');
  assert.equal(await ended, 0);
  assert.deepEqual(notes(run).slice(1), ['term', 'stopped']);
  assert.ok(performance.now() - begin < 900);
  assert.deepEqual(processesIn(pgdata), []);
});

test('without a deadline a frozen manager kills nobody', async () => {
  const { run, guard } = runGuard('none', { beating: false });
  await serving();
  process.kill(managerPid(guard)!, 'SIGSTOP');
  // The one test that has to wait for nothing to happen: longer than the guard's longest nap.
  await new Promise((resolve) => setTimeout(resolve, 1200));
  assert.equal(starts(run), 1);
  assert.ok(processesIn(pgdata).length > 3);
});

test('a manager that can do nothing here ends the container, and all that is in it', async () => {
  const { guard, order } = runGuard('useless', { beating: false });
  await serving();
  const ended = new Promise((resolve) => guard.once('exit', resolve));
  order('useless');
  assert.equal(await ended, 0);
  await until('all to be dead', () => processesIn(pgdata).length === 0);
});

test('while another container has the volume nothing is started on it, and a stop is heeded', async () => {
  const first = runGuard('has', { beating: false });
  await serving();
  const second = runGuard('comes', { beating: false });
  const third = runGuard('goes', { beating: false });
  const waits = (run: string) => () =>
    existsSync(join(run, 'out')) && /still has this volume/.test(readFileSync(join(run, 'out'), 'utf8'));
  await until('the second to wait', waits(second.run));
  await until('the third to wait', waits(third.run));
  const ended = new Promise<number | null>((resolve) => third.guard.once('exit', resolve));
  process.kill(guardPid(third.guard), 'SIGTERM');
  assert.equal(await ended, 0);
  assert.equal(starts(second.run), 0);
  // Its manager is started anew: the volume stays its own.
  first.order('crash');
  await until('a second start', () => starts(first.run) === 2);
  assert.equal(starts(second.run), 0);
  first.guard.kill('SIGKILL');
  await until('the volume to be taken over', () => starts(second.run) === 1);
  await serving();
});

test('a signal that comes before the manager runs is not lost', async () => {
  const { run, guard } = runGuard('early', { beating: false });
  const ended = new Promise((resolve) => guard.once('exit', resolve));
  // Caught by the shell: its handler is there.
  const catches = (pid: number) =>
    (BigInt(`0x${/SigCgt:\s*(\w+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]}`) >> 14n) & 1n;
  await until('the handler', () => {
    const pid = guard.pid && childrenOf(guard.pid).find((each) => command(each).startsWith('/bin/bash'));
    return pid !== undefined && pid !== 0 && catches(pid) === 1n && process.kill(pid, 'SIGTERM');
  });
  assert.equal(await ended, 0);
  assert.ok(starts(run) <= 1);
});
