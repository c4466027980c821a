/** What a manager leaves to the next one of the grants it gave. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { testFolder } from '@pgherd/postgres/testing';
import { uptimeSeconds } from '../guard-link.ts';
import { readClocks } from './clock.ts';
import { GrantLog } from './grant-notes.ts';

const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

/** /proc/uptime counts hundredths of a second. */
const near = (mono: number, wanted: number) => assert.ok(Math.abs(mono - wanted) < 100, `${mono}, ${wanted}`);

test('the first manager knows of nothing before itself', () => {
  const { before } = new GrantLog(testFolder());
  near(before.since.mono, readClocks().mono);
  assert.equal(before.last, undefined);
});

test('the next one knows since when all was noted, and the last grant with its time', () => {
  const folder = testFolder();
  const uptime = uptimeSeconds();
  const first = { boot, since: uptime - 60, last: { to: 'uid-1/1', epoch: 3, at: uptime - 20 } };
  writeFileSync(join(folder, 'grants.json'), JSON.stringify(first));
  const second = new GrantLog(folder);
  const { mono, wall } = readClocks();
  near(second.before.since.mono, mono - 60_000);
  near(second.before.last!.at.mono, mono - 20_000);
  near(second.before.last!.at.wall, wall - 20_000);
  second.note('uid-2/5', 4);
  const { before } = new GrantLog(folder);
  near(before.since.mono, mono - 60_000);
  assert.equal(before.last?.to, 'uid-2/5');
  assert.equal(before.last?.epoch, 4);
  near(before.last!.at.mono, mono);
});

for (const [what, text] of [
  ['of another run of the machine', JSON.stringify({ boot: 'another', since: uptimeSeconds() - 100 })],
  ['that cannot be read', '{'],
] as const)
  test(`notes ${what} say nothing`, () => {
    const folder = testFolder();
    writeFileSync(join(folder, 'grants.json'), text);
    const { before } = new GrantLog(folder);
    near(before.since.mono, readClocks().mono);
  });

test('where nothing can be written the manager starts, and a grant is refused', () => {
  const folder = testFolder();
  mkdirSync(join(folder, 'grants.json.new'));
  const log = new GrantLog(folder);
  near(log.before.since.mono, readClocks().mono);
  assert.throws(() => log.note('uid-1/1', 3), /EISDIR/);
});
