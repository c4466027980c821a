/** Runs the checks, the unit tests and the scenarios, and adds up what passed and failed. */
import { spawn } from 'node:child_process';
import { chmodSync, globSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runUnitTests, slowFirst, type Totals } from './lib/unit-tests.ts';

const ROOT = join(import.meta.dirname, '..');

interface Part {
  name: string;
  run(): Promise<Totals>;
}

mkdirSync(join(ROOT, '.tmp'), { recursive: true });
// Each of the many processes would compile the sources anew. Readable for those that are another user.
const compiled = mkdtempSync(join(tmpdir(), 'pgherd-compiled-'));
chmodSync(compiled, 0o755);
process.env.NODE_COMPILE_CACHE = compiled;
process.once('exit', () => rmSync(compiled, { recursive: true, force: true }));

const parts: Part[] = [
  { name: 'lint', run: () => asOneTest(join(ROOT, 'node_modules/.bin/biome'), ['check', '.']) },
  { name: 'types', run: () => asOneTest(join(ROOT, 'node_modules/.bin/tsc'), ['-p', '.']) },
  { name: 'unit', run: unitTests },
  { name: 'e2e', run: runScenarios },
];

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !parts.some((part) => part.name === name));
if (unknown.length > 0) {
  console.error(
    `No part of the tests is called ${unknown.join(', ')}. There are: ${parts.map((p) => p.name).join(', ')}.`,
  );
  process.exit(2);
}

const totals: Totals = { passed: 0, failed: 0 };
for (const part of parts) {
  if (wanted.length > 0 && !wanted.includes(part.name)) continue;
  const started = performance.now();
  console.log(`\n=== ${part.name}`);
  const result = await part.run();
  totals.passed += result.passed;
  totals.failed += result.failed;
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  console.log(`=== ${part.name}: ${result.passed} passed, ${result.failed} failed in ${seconds} s`);
}
console.log(`\n${totals.passed} passed, ${totals.failed} failed`);
process.exitCode = totals.failed === 0 && totals.passed > 0 ? 0 : 1;

/** Runs a command whose success counts as one passed test. */
async function asOneTest(command: string, args: string[]): Promise<Totals> {
  const { code } = await run(command, args);
  return code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

/** Unit tests of every package. */
function unitTests(): Promise<Totals> {
  const files = [
    'packages/*/src/**/*.test.ts',
    'scripts/**/*.test.ts',
    'e2e/src/**/*.test.ts',
    'bench/src/**/*.test.ts',
  ].flatMap((pattern) => globSync(pattern, { cwd: ROOT }));
  return runUnitTests(ROOT, slowFirst(files.sort()));
}

/** Scenarios on real databases in local mode; their last line is `N passed, N failed, N skipped`. */
async function runScenarios(): Promise<Totals> {
  const { code, output } = await run(process.execPath, [join(ROOT, 'e2e/src/main.ts')]);
  const last = [...output.matchAll(/^(\d+) passed, (\d+) failed/gm)].at(-1);
  const counted = { passed: Number(last?.[1] ?? 0), failed: Number(last?.[2] ?? 0) };
  return atLeastOneFailure(counted, code);
}

/** A part that exits non-zero has failed, whatever it counted. */
function atLeastOneFailure(counted: Totals, code: number): Totals {
  return code !== 0 && counted.failed === 0 ? { ...counted, failed: 1 } : counted;
}

/** Runs a command with its output passed through and kept. */
function run(command: string, args: string[]): Promise<{ code: number; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      process.stdout.write(text);
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? 1, output }));
  });
}
