import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CrashSyncFacts, syncsAtOnce } from './crash-sync.ts';

const EXT4 = 0xef53;
const NFS = 0x6969;
const good: CrashSyncFacts = {
  major: 15,
  kernel: '6.1.0-18-amd64',
  waitingKB: 20_000,
  tablespaces: 0,
  fileSystems: [EXT4],
};

const cases: [string, Partial<CrashSyncFacts>, boolean][] = [
  ['a local file system', {}, true],
  ['WAL on XFS', { fileSystems: [EXT4, 0x58465342] }, true],
  ['the first kernel that reports errors', { kernel: '5.8.0' }, true],
  ['a kernel that may not report errors', { kernel: '5.7.19' }, false],
  ['an older one', { kernel: '4.18.0-553.el8_10.x86_64' }, false],
  ['a kernel without a number', { kernel: '' }, false],
  ['WAL on a server elsewhere', { fileSystems: [EXT4, NFS] }, false],
  ['a file system that cannot be asked', { fileSystems: [0] }, false],
  ['a tablespace', { tablespaces: 1 }, false],
  ['much that waits to be written', { waitingKB: 300_000 }, false],
  ['a PostgreSQL that does not have it', { major: 13 }, false],
];

for (const [name, facts, wanted] of cases)
  test(`${name}: ${wanted ? 'one call' : 'file by file'}`, () => {
    assert.equal(syncsAtOnce({ ...good, ...facts }), wanted);
  });
