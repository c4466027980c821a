import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { makeProgram } from '../program.ts';
import { candidatesFor } from './candidates.ts';
import { completionScripts } from './scripts.ts';

const after = (line: string) => candidatesFor(makeProgram(), line.split(' '));

test('commands, their parts, options, and the values of options', () => {
  assert.ok(after('').words.includes('create'));
  assert.ok(!after('').words.some((word) => word.startsWith('__')));
  assert.deepEqual(after('create ').words.toSorted(), ['cluster', 'schedule']);
  assert.ok(after('create cluster demo --').words.includes('--wal-storage'));
  assert.deepEqual(after('create cluster demo -o ').words, ['json', 'yaml']);
  assert.deepEqual(after('create cluster demo --storage ').words, []);
  assert.deepEqual(after('completion ').words, ['bash', 'zsh', 'fish', 'kubectl']);
  assert.ok(after('local node ').words.includes('freeze'));
});

test('names that only the API knows', () => {
  assert.equal(after('status ').names, 'cluster');
  assert.equal(after('show cluster -n ').names, 'namespace');
  assert.equal(after('show cluster -n x ').names, 'cluster');
  assert.equal(after('status demo ').names, undefined);
});

test('bash asks and takes the answer', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'pgherd-completion-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const main = join(import.meta.dirname, '..', 'main.ts');
  writeFileSync(join(dir, 'pgherd'), `#!/bin/sh\nexec ${process.execPath} ${main} "$@"\n`);
  chmodSync(join(dir, 'pgherd'), 0o755);
  const script = `${completionScripts.bash}
COMP_WORDS=(pgherd create cluster demo --st); COMP_CWORD=4; _pgherd; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const env = { ...process.env, PATH: [dir, process.env.PATH].join(delimiter) };
  const said = execFileSync('bash', ['-c', script], { encoding: 'utf8', env });
  assert.deepEqual(said.trim().split('\n'), ['--storage', '--storage-class']);
});
