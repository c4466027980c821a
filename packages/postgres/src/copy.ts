import { readControlData } from './control-data.ts';
import { PostgresError } from './errors.ts';
import { maxLsn } from './lsn.ts';
import { unlockAutoConf } from './settings.ts';
import { runTool, type ToolOptions } from './tool.ts';

export type CopyTool = Pick<ToolOptions, 'bin' | 'signal' | 'onLine' | 'onStart' | 'env'>;

export interface InitdbOptions {
  encoding?: string;
  locale?: string;
  localeCollate?: string;
  localeCType?: string;
  localeProvider?: string;
  icuLocale?: string;
  icuRules?: string;
  builtinLocale?: string;
  dataChecksums: boolean;
  walSegmentSizeMB?: number;
}

/** Arguments of initdb, without the directories. */
export function initdbArgs(o: InitdbOptions): string[] {
  const args = [
    '--username=postgres',
    '--auth-local=trust',
    '--auth-host=reject',
    '--no-sync',
    '--no-instructions',
  ];
  const option = (name: string, value: string | number | undefined) => {
    if (value !== undefined && value !== '') args.push(`--${name}=${value}`);
  };
  option('encoding', o.encoding);
  option('locale', o.locale);
  option('lc-collate', o.localeCollate);
  option('lc-ctype', o.localeCType);
  option('locale-provider', o.localeProvider);
  option('icu-locale', o.icuLocale);
  option('icu-rules', o.icuRules);
  option('builtin-locale', o.builtinLocale);
  option('wal-segsize', o.walSegmentSizeMB);
  if (o.dataChecksums) args.push('--data-checksums');
  return args;
}

/** Makes a new cluster, not yet synced to disk (see syncData). The directory must be empty or absent. */
export async function initdb(
  pgdata: string,
  walDir: string | undefined,
  o: InitdbOptions,
  tool: CopyTool,
  major: number,
): Promise<void> {
  let args = ['-D', pgdata, ...initdbArgs(o)];
  if (major < 13) args = args.filter((arg) => arg !== '--no-instructions');
  if (walDir) args.push(`--waldir=${walDir}`);
  await runTool('initdb', args, { ...tool, doing: `initialising ${pgdata}`, timeoutMs: 300_000 });
}

/**
 * Brings a data directory (and its WAL) safely to disk. One syncfs is several times faster than a thousand
 * fsyncs; where the image has no `sync -f`, initdb does it file by file.
 */
export async function syncData(pgdata: string, walDir: string | undefined, tool: CopyTool): Promise<void> {
  const paths = walDir ? [pgdata, walDir] : [pgdata];
  try {
    await runTool('sync', ['-f', ...paths], { ...tool, bin: undefined, doing: `syncing ${pgdata}` });
  } catch (error) {
    if (error instanceof PostgresError && error.code === 'Cancelled') throw error;
    await runTool('initdb', ['--sync-only', '-D', pgdata], { ...tool, doing: `syncing ${pgdata}` });
  }
}

export interface BaseBackup {
  /** libpq connection string. */
  source: string;
  sourceName: string;
  /** Told when the source has let it in and begins to send. */
  onBegun?: () => void;
}

/** How pg_basebackup tells of what goes well. */
const GOES_WELL = /^pg_basebackup: (?!error|fatal|detail|hint|warning)/i;

/**
 * Copies a running server into an empty directory, with the WAL it needs, and syncs it.
 * Throws PostgresError `ToolFailed`, `Cancelled`.
 */
export async function baseBackup(
  o: BaseBackup & { pgdata: string; walDir?: string | undefined; major: number },
  tool: CopyTool,
): Promise<void> {
  const args = [
    '-d',
    o.source,
    '-D',
    o.pgdata,
    '-X',
    'stream',
    '--checkpoint=fast',
    '--no-sync',
    '--no-password',
    '--verbose',
  ];
  if (o.walDir) args.push(`--waldir=${o.walDir}`);
  if (o.major >= 13) args.push('--no-manifest');
  await runTool('pg_basebackup', args, {
    ...tool,
    doing: `copying ${o.sourceName} into ${o.pgdata}`,
    isNoise: (line) => GOES_WELL.test(line),
    onLine: (line) => {
      if (line.includes('checkpoint completed')) o.onBegun?.();
      tool.onLine?.(line);
    },
  });
  await syncData(o.pgdata, o.walDir, tool);
}

export interface RewindResult {
  /** False: the histories had not parted, nothing was changed. */
  rewound: boolean;
  /** The WAL of ours that is gone: from the point where the histories part to the last position we knew. */
  discarded?: { from: string; to: string };
}

/**
 * Rewinds a stopped data directory to the history of a running primary. The source must have checkpointed
 * since it was promoted. Interrupted, it leaves a directory that is only good to be copied anew.
 * Throws PostgresError `ToolFailed`, `Cancelled`, `NoControlData`.
 */
export async function rewind(
  o: { source: string; sourceName: string; pgdata: string },
  tool: CopyTool,
): Promise<RewindResult> {
  const before = await readControlData(tool.bin, o.pgdata);
  await unlockAutoConf(o.pgdata);
  const lines: string[] = [];
  const collect = (line: string) => {
    lines.push(line);
    tool.onLine?.(line);
  };
  await runTool('pg_rewind', ['-D', o.pgdata, `--source-server=${o.source}`], {
    ...tool,
    onLine: collect,
    doing: `rewinding ${o.pgdata} to the history of ${o.sourceName}`,
  });
  return parseRewind(lines, maxLsn(before.checkpointLsn, before.minRecoveryLsn)!);
}

/** Reads what pg_rewind said. */
export function parseRewind(lines: string[], lastKnown: string): RewindResult {
  const text = lines.join('\n');
  if (/no rewind required/.test(text)) return { rewound: false };
  const match = /servers diverged at WAL location ([0-9A-F]+\/[0-9A-F]+)/.exec(text);
  return match ? { rewound: true, discarded: { from: match[1]!, to: lastKnown } } : { rewound: true };
}

/** True for an error that another try at the same thing cannot mend: the data have to be copied anew. */
export function needsFreshCopy(error: unknown): boolean {
  if (!(error instanceof PostgresError)) return false;
  const text = `${error.message}\n${error.output.join('\n')}`;
  return /could not find previous WAL record|could not open file|requested WAL segment .* has already been removed|could not find common ancestor|different systems/.test(
    text,
  );
}
