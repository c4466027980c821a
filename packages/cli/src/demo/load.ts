import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import type { Access } from '../access.ts';
import { CliError } from '../errors.ts';
import { findPostgres } from '../local-mode.ts';

const run = promisify(execFile);
/** pgbench's unit: 100,000 accounts each. */
const SCALE = 5;
const LOAD_MS = 120_000;

/** Loads pgbench's tables, unless they are there; returns what to say about it. */
export async function loadPgbench(psql: string, access: Access): Promise<string> {
  const rows = (SCALE * 100_000).toLocaleString('en');
  if (await isLoaded(access)) return `pgbench's ${rows} accounts are there already`;
  const bin = [...findPostgres().values()].at(-1) ?? '';
  const pgbench = existsSync(join(bin, 'pgbench')) ? join(bin, 'pgbench') : 'pgbench';
  const started = performance.now();
  try {
    await run(pgbench, ['--initialize', '--quiet', `--scale=${SCALE}`, psql], { timeout: LOAD_MS });
  } catch (cause) {
    const said = (cause as { stderr?: string }).stderr?.trim().split('\n').at(-1);
    throw new CliError('failed', `Loading data with pgbench: ${said ?? (cause as Error).message}`, { cause });
  }
  return `pgbench loaded ${rows} accounts in ${((performance.now() - started) / 1000).toFixed(1)} s`;
}

async function isLoaded(access: Access): Promise<boolean> {
  const client = await connect(access);
  try {
    const { rows } = await client.query(
      "SELECT reltuples FROM pg_class WHERE relname = 'pgbench_accounts' AND relkind = 'r' AND EXISTS (SELECT FROM pg_index WHERE indrelid = pg_class.oid AND indisprimary)",
    );
    return rows.length > 0;
  } finally {
    await client.end();
  }
}

/** A connection of the application to the cluster. */
export async function connect(access: Access, timeoutMs = 5_000): Promise<pg.Client> {
  const client = new pg.Client({
    host: access.host,
    port: access.port,
    user: access.user,
    password: access.password,
    database: access.database,
    ssl: { ca: access.ca, servername: access.serverName },
    connectionTimeoutMillis: timeoutMs,
  });
  client.on('error', () => {});
  await client.connect();
  return client;
}
