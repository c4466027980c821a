/** Runs test files of Node's test runner, several at a time. */
import { relative } from 'node:path';
import { run } from 'node:test';

/** How many files run at the same time: many of them wait more than they work. */
const AT_A_TIME = 4;
const TIMEOUT_MS = 240_000;
const DOTS_A_LINE = 100;
/** How many of the slowest files are named. */
const SLOWEST = 15;

/** Files that take so long that the others had better run beside them than before them. */
const SLOW = ['packages/instance/src/backup/stores.test.ts'];

export interface Totals {
  passed: number;
  failed: number;
}

interface Told {
  name: string;
  file?: string;
  line?: number;
  skip?: unknown;
  todo?: unknown;
  details: { type?: string; error?: Error };
}

/** The files that are known to be slow, then the others. */
export function slowFirst(files: string[]): string[] {
  const gone = SLOW.filter((slow) => !files.includes(slow));
  if (gone.length > 0) throw new Error(`no test file is called ${gone.join(', ')}`);
  return [...SLOW, ...files.filter((file) => !SLOW.includes(file))];
}

/**
 * Runs these files, in this order, each in a process of its own. Prints a dot for each test that passed, each failure
 * where it happens, and at the end which files took longest. Counts tests, not suites and not files.
 */
export async function runUnitTests(root: string, files: string[]): Promise<Totals> {
  const totals: Totals = { passed: 0, failed: 0 };
  const times: { file: string; seconds: number }[] = [];
  let sound = false;
  const options = { cwd: root, files, concurrency: AT_A_TIME, timeout: TIMEOUT_MS };
  for await (const { type, data } of run(options)) {
    if (type === 'test:summary') {
      if (data.file) times.push({ file: relative(root, data.file), seconds: data.duration_ms / 1000 });
      else sound = data.success;
    }
    if ((type === 'test:pass' || type === 'test:fail') && counts(data)) {
      if (type === 'test:pass') totals.passed++;
      else totals.failed++;
      process.stdout.write(type === 'test:pass' ? dot(totals.passed) : failure(data));
    } else if (type === 'test:fail' && !subtestsFailed(data)) process.stdout.write(failure(data));
  }
  console.log();
  for (const { file, seconds } of times.sort((a, b) => b.seconds - a.seconds).slice(0, SLOWEST))
    console.log(`${seconds.toFixed(1).padStart(7)} s  ${file}`);
  // What fails beside the tests, such as a hook of a suite, is no test of its own.
  return sound || totals.failed > 0 ? totals : { ...totals, failed: 1 };
}

function counts({ skip, todo, details }: Told): boolean {
  return skip === undefined && todo === undefined && details.type !== 'suite';
}

/** A suite or file whose failure has been told already: that of a test in it. */
function subtestsFailed({ details }: Told): boolean {
  return (details.error as { failureType?: string } | undefined)?.failureType === 'subtestsFailed';
}

function dot(count: number): string {
  return count % DOTS_A_LINE === 0 ? '.\n' : '.';
}

function failure({ name, file, line, details: { error } }: Told): string {
  const cause = (error?.cause as Error | undefined) ?? error;
  return `\nnot ok: ${name} (${file ?? ''}:${line ?? ''})\n${cause?.stack ?? String(cause)}\n`;
}
