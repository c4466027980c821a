/** The steps by which a backup is proven, and what they found. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { VerifyAnswer } from '@pgherd/api';
import { findBinaries, PostgresError, quoteIdent, runTool } from '@pgherd/postgres';
import type { RecoverSpec } from '../database/recover.ts';
import type { Database } from '../database/types.ts';
import { InstanceError } from '../errors.ts';

const AGAIN_MS = 2_000;
const STOP = { fastMs: 60_000, immediateMs: 5_000 };

/** Where the restored server is found. */
export interface VerificationPlace {
  pgdata: string;
  sockets: string;
  port: number;
}

export class Verification {
  readonly #database: Database;
  readonly #place: VerificationPlace;
  #phase: VerifyAnswer['phase'] = 'running';
  #doing = 'begins';
  #error: string | undefined;
  #lacksTable = false;
  readonly #found: Record<string, string> = {};

  constructor(database: Database, place: VerificationPlace) {
    this.#database = database;
    this.#place = place;
  }

  answer(): VerifyAnswer {
    const progress = this.#database.progress();
    return {
      phase: this.#phase,
      doing: progress?.doing ?? this.#doing,
      ...(progress && progress.total > 0 ? { progress } : {}),
      ...(this.#error ? { error: this.#error } : {}),
      ...(this.#lacksTable ? { lacksTable: true } : {}),
      found: { ...this.#found },
    };
  }

  /** Runs all steps; what fails is told by answer(). */
  async run(spec: () => Promise<RecoverSpec>, tables: string[], database: string): Promise<void> {
    try {
      await this.#restore(spec);
      await this.#database.claim();
      await this.#database.startPrimary({ syncNames: '' });
      await this.#amcheck();
      const absent: string[] = [];
      for (const table of tables) if (!(await this.#count(table, database))) absent.push(table);
      await this.#database.stop(STOP);
      await this.#checksums();
      // Said last: what else was found is of use all the same.
      if (absent.length > 0) throw new InstanceError('TableMissing', absentText(absent, database));
      this.#phase = 'done';
      this.#doing = 'done';
    } catch (error) {
      this.#error = (error as Error).message;
      if (error instanceof InstanceError && error.code === 'TableMissing') this.#lacksTable = true;
      this.#phase = 'failed';
    }
  }

  /** Until it succeeds, or cannot: the database counts the tries. */
  async #restore(spec: () => Promise<RecoverSpec>): Promise<void> {
    for (;;) {
      try {
        await this.#database.recover(await spec());
        break;
      } catch (error) {
        const { code, message } = error as { code?: string; message: string };
        if (code === 'RecoveryFailed') throw error;
        this.#doing = `tries again: ${message}`;
        await sleep(AGAIN_MS);
      }
    }
    const { recovered } = await this.#database.observe();
    this.#found.backup = recovered?.backup ?? '';
    this.#found.restored = `to LSN ${recovered?.lsn}${recovered?.time ? `, last transaction of ${recovered.time}` : ''}`;
  }

  /** Every row and every index of every database. */
  async #amcheck(): Promise<void> {
    this.#doing = 'looks at tables and indexes (pg_amcheck)';
    const { sockets, port } = this.#place;
    const args = [
      '--all',
      '--install-missing',
      '--heapallindexed',
      '-h',
      sockets,
      '-p',
      `${port}`,
      '-U',
      'postgres',
    ];
    try {
      await runTool('pg_amcheck', args, {
        bin: await findBinaries(undefined),
        doing: 'checking tables and indexes',
        reports: true,
      });
      this.#found.amcheck = 'no damage in any table or index';
    } catch (error) {
      const missing = lacking(error);
      if (!missing) throw error;
      this.#found.amcheck = `not done: the image has no ${missing}`;
    }
  }

  /** False when there is no such table. */
  async #count(table: string, fallback: string): Promise<boolean> {
    this.#doing = `counts the rows of ${table}`;
    const { database, schema, name } = tableParts(table, fallback);
    try {
      const rows = await this.#database.count(database, `${quoteIdent(schema)}.${quoteIdent(name)}`);
      this.#found[`rows of ${table}`] = String(rows);
      return true;
    } catch (error) {
      if (!(error instanceof PostgresError) || !NO_SUCH_TABLE.includes(error.sqlState ?? '')) throw error;
      return false;
    }
  }

  async #checksums(): Promise<void> {
    this.#doing = 'looks at the checksum of every page (pg_checksums)';
    const args = ['--check', '-D', this.#place.pgdata];
    try {
      const said = await runTool('pg_checksums', args, {
        bin: await findBinaries(undefined),
        doing: 'checking pages',
      });
      const blocks = /Blocks scanned:\s+(\d+)/.exec(said)?.[1];
      this.#found.checksums = `${blocks ?? 'all'} pages, every checksum is right`;
    } catch (error) {
      if (!/not enabled|cannot run/.test((error as Error).message)) throw error;
      this.#found.checksums = 'not done: the cluster has no data checksums';
    }
  }
}

/** SQLSTATEs: no such database, schema, table. */
const NO_SUCH_TABLE = ['3D000', '3F000', '42P01'];

function tableParts(table: string, fallback: string): { database: string; schema: string; name: string } {
  const [name = '', schema = 'public', database = fallback] = table.split('.').reverse();
  return { database, schema, name };
}

function absentText(tables: string[], fallback: string): string {
  const where = tables.map((table) => {
    const { database, schema, name } = tableParts(table, fallback);
    return `${name} in schema ${schema} of database ${database}`;
  });
  return `there is no table ${where.join(', and none ')} (write DATABASE.SCHEMA.TABLE)`;
}

/** What the image lacks for it, if that is why pg_amcheck failed: it says nothing about the backup. */
export function lacking(error: unknown): string | undefined {
  if (!(error instanceof PostgresError)) return undefined;
  if (error.code === 'BinariesMissing') return 'pg_amcheck';
  const words = [error.message, ...error.output].join('\n');
  return /extension "amcheck" is not available|could not open extension control file/.test(words)
    ? 'extension amcheck (contrib)'
    : undefined;
}
