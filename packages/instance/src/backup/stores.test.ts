/** Two object stores, of which one has a wrong key, is away, or hangs; with real PostgreSQL and pgBackRest. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type ArchiveReport, stanzaName } from '@pgherd/api';
import { kinds } from '@pgherd/kube';
import { runBackrest } from '@pgherd/postgres';
import { until } from '@pgherd/postgres/testing';
import { ClusterKind } from '../loop/surroundings.ts';
import { TEST_NAMESPACE, TestCluster } from '../loop/testing-cluster.ts';
import { runInside, sandbox } from '../testing-sandbox.ts';
import { backrestFiles } from './setup.ts';
import { storeKey, TestStore } from './testing-store.ts';

const STORE_MB = 400;
const PATIENCE_MS = 60_000;
const LOOK_MS = 100;

if (sandbox === undefined)
  test('two object stores', (t) =>
    runInside(t, { file: import.meta.filename, volumes: { good: STORE_MB, bad: STORE_MB }, pod: true }));
else describe('two object stores', () => story(sandbox as string));

function story(folder: string): void {
  const cluster = new TestCluster({
    count: 1,
    backup: () => ({ repositories: [good.repository, bad.repository] }),
  });
  const good = new TestStore('good', join(folder, 'good'), cluster.folder);
  const bad = new TestStore('bad', join(folder, 'bad'), cluster.folder);
  let stanza = '';
  let postmaster = 0;
  let asked = 0;
  const KEYS = ['right', 'wrong', 'new'].map(storeKey) as [string, string, string];
  const [RIGHT, WRONG, NEW] = KEYS;
  const files = backrestFiles('/run/pgherd/pgbackrest');
  const logged: string[] = [];
  const seen = new Set<string>();
  let watching: NodeJS.Timeout | undefined;

  const instance = () => cluster.instances[0]!;
  const archive = (): Partial<ArchiveReport> => instance().report.archive ?? {};

  /** The WAL files in the archive of one store, in order. */
  async function segments(number: number): Promise<string[]> {
    const text = await runBackrest('repo-ls', {
      config: files.alone(number),
      doing: 'listing the archive',
      args: [`archive/${stanza}/15-1/0000000100000000`],
    });
    return text
      .split('\n')
      .filter((name) => /^[0-9A-F]{24}-/.test(name))
      .map((name) => name.slice(0, 24))
      .sort();
  }

  /** Writes, and closes WAL files; returns the last of them. */
  async function makeWal(count: number): Promise<string> {
    let last = '';
    for (let n = 0; n < count; n++) {
      await cluster.sql('insert into t select generate_series(1, 100)');
      const [row] = await instance().superuser('select pg_walfile_name(pg_switch_wal()) as f');
      last = String(row!.f);
    }
    return last;
  }

  const arrives = (number: number, file: string) =>
    until(
      `${file} to be in store ${number}`,
      async () => (await segments(number)).includes(file),
      PATIENCE_MS,
    );

  /** All WAL is in both, without a gap, and nothing waits. */
  async function drained(file: string): Promise<void> {
    await until('the backlog to be drained', () => archive().waiting === 0 && !archive().error, PATIENCE_MS);
    for (const number of [1, 2]) {
      await arrives(number, file);
      const names = await segments(number);
      const serial = (name: string) => Number.parseInt(name.slice(16), 16);
      assert.deepEqual(
        names.map(serial),
        Array.from(names, (_, index) => serial(names[0]!) + index),
        `there are gaps in store ${number}: ${names.join(' ')}`,
      );
    }
    await until('both to be ready', () => archive().repositories?.length === 2, PATIENCE_MS);
    assert.deepEqual(archive().problems, undefined);
  }

  async function backUp(number: number): Promise<void> {
    const id = `b${++asked}`;
    const jobs = instance().backups!.jobs()!;
    jobs.start({ id, stanza, repository: number, type: 'full', primary: 'demo-1' });
    await until('the backup to end', () => jobs.get(id)?.phase !== 'running', PATIENCE_MS);
    assert.equal(jobs.get(id)?.phase, 'done', jobs.get(id)?.error);
  }

  const putKey = (store: TestStore, key: string) =>
    cluster.client.patch(
      kinds.Secret,
      { namespace: TEST_NAMESPACE, name: store.name },
      { type: 'merge', body: { data: { key: Buffer.from(key).toString('base64') } } },
    );

  /** What anybody on the machine could see: no key may be in it. */
  function lookAround(): void {
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    for (const path of pids.flatMap((pid) => [`/proc/${pid}/cmdline`, `/proc/${pid}/environ`])) {
      const text = readIfThere(path);
      // The stores themselves have to know theirs.
      if (!text.includes('STORE_SECRET=') && KEYS.some((key) => text.includes(key))) seen.add(text);
    }
  }

  before(async () => {
    for (const store of [good, bad]) await store.prepare();
    await Promise.all([good.start(RIGHT), bad.start(RIGHT)]);
    await cluster.prepare();
    for (const { name, ca } of [good, bad])
      await cluster.makeSecret(name, {
        key: name === 'bad' ? WRONG : RIGHT,
        'ca.crt': readFileSync(ca, 'utf8'),
      });
    const log = (fields: object, message: string) => logged.push(`${message} ${JSON.stringify(fields)}`);
    instance().log = { debug: log, info: log, warn: log, error: log };
    watching = setInterval(lookAround, LOOK_MS);
    await cluster.startAll();
    await cluster.sql('create table t (i int)');
    postmaster = instance().postmaster;
    // As the operator does.
    const { systemID } = await cluster.record();
    stanza = stanzaName('demo', systemID!);
    const repositories = [good, bad].map(({ name }, index) => ({ name, number: index + 1 }));
    await cluster.client.patch(
      ClusterKind,
      { namespace: TEST_NAMESPACE, name: 'demo' },
      { type: 'merge', subresource: 'status', body: { status: { systemID, backup: { repositories } } } },
    );
  });
  after(async () => {
    clearInterval(watching);
    cluster.end();
    await Promise.all([good.stop('SIGKILL'), bad.stop('SIGKILL')]);
  });

  test('what is wrong with one is said of that one alone', async () => {
    await until('both to have been looked at', () => archive().problems?.bad !== undefined, PATIENCE_MS);
    await until('the good one to be ready', () => archive().repositories?.includes('good') === true);
    assert.deepEqual(Object.keys(archive().problems!), ['bad']);
    assert.match(
      archive().problems!.bad!,
      /\[039\]: the store answers 403 .*HINT: the store refuses the keys/,
    );
  });

  /** While one is in trouble, the other has all WAL and takes backups, and the report says whose trouble it is. */
  async function goodGoesOn(trouble: RegExp): Promise<void> {
    await arrives(1, await makeWal(3));
    await until(
      `${trouble} to be said`,
      () => trouble.test(archive().problems?.bad ?? ''),
      PATIENCE_MS,
    ).catch((error) => assert.fail(`${error.message}: ${JSON.stringify(archive())}`));
    assert.deepEqual(archive().repositories, ['good']);
    assert.deepEqual(Object.keys(archive().problems!), ['bad']);
    await backUp(1);
    assert.ok(archive().waiting! >= 3);
    assert.ok(archive().waitingBytes! >= 3 * 16 * 1024 * 1024);
  }

  test('WAL and backups go to the good one meanwhile', () => goodGoesOn(/\[039\]: the store answers 403/));

  test('a secret that is put right is seen, and the backlog goes there', async () => {
    const last = await makeWal(1);
    await putKey(bad, RIGHT);
    await drained(last);
  });

  test('a store that is away, and comes back', async () => {
    await bad.stop();
    await goodGoesOn(/unable to connect to 'localhost.*Connection refused.*HINT: the store is not reached/);
    await until('the error of PostgreSQL', () => archive().error !== undefined, PATIENCE_MS);
    assert.match(archive().lastFailed ?? '', /^[0-9A-F]{24}$/);
    await bad.start(RIGHT);
    await drained(await makeWal(1));
  });

  test('a store that hangs, and goes on', async () => {
    bad.hang();
    await goodGoesOn(/timeout/);
    bad.goOn();
    await drained(await makeWal(1));
  });

  test('a key that is changed in the store, and then in the secret', async () => {
    await bad.stop();
    await bad.start(NEW);
    await goodGoesOn(/the store answers 403 .*HINT: the store refuses the keys/);
    await putKey(bad, NEW);
    await drained(await makeWal(1));
  });

  test('PostgreSQL was never restarted, and nobody saw a key', () => {
    assert.equal(instance().postmaster, postmaster);
    assert.deepEqual([...seen], []);
    assert.ok(logged.length > 0);
    for (const key of KEYS) assert.ok(!logged.some((line) => line.includes(key)));
  });
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // It has ended, or is another's.
    return '';
  }
}
