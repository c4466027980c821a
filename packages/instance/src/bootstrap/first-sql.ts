import { PostgresError, quoteIdent, type Session } from '@pgherd/postgres';
import type { InitialiseSpec } from '../database/types.ts';
import { InstanceError } from '../errors.ts';
import { ensureLoginRole, ensureReplicationRole, ensureSuperuserPassword } from './roles.ts';

/** A user's SQL may load a lot; the pod's start is not bounded by it. */
const USER_SQL_MS = 24 * 3600 * 1000;

export type OpenSession = (database: string) => Promise<Session>;

/**
 * The first SQL of a fresh cluster: our roles, the user's SQL on `postgres` and `template1`, the application's
 * role and database, the user's SQL there. Throws InstanceError `BootstrapSQLFailed` with PostgreSQL's own words.
 */
export async function runFirstSql(spec: InitialiseSpec, open: OpenSession): Promise<void> {
  await using postgres = disposable(await open('postgres'));
  const session = postgres.session;
  await ensureReplicationRole(session);
  await ensureSuperuserPassword(session, spec.superuserPassword);
  if (spec.owner !== 'postgres') await ensureLoginRole(session, spec.owner, spec.ownerPassword);
  await runAll(session, 'postInitSQL', spec.postInitSQL);
  if (spec.postInitTemplateSQL.length > 0) {
    await using template = disposable(await open('template1'));
    await runAll(template.session, 'postInitTemplateSQL', spec.postInitTemplateSQL);
  }
  await ensureDatabase(session, spec);
  if (spec.postInitApplicationSQL.length > 0) {
    await using application = disposable(await open(spec.database));
    await runAll(application.session, 'postInitApplicationSQL', spec.postInitApplicationSQL);
  }
}

async function ensureDatabase(session: Session, spec: InitialiseSpec): Promise<void> {
  const [row] = await session.query('select 1 from pg_database where datname = $1', [spec.database]);
  const [name, owner] = [quoteIdent(spec.database), quoteIdent(spec.owner)];
  // A template that the user has filled takes its time to be copied.
  if (row) await session.query(`alter database ${name} owner to ${owner}`);
  else await session.query(`create database ${name} owner ${owner}`, [], 600_000);
}

async function runAll(session: Session, field: string, statements: string[]): Promise<void> {
  for (const [index, statement] of statements.entries()) {
    try {
      await session.query(statement, [], USER_SQL_MS);
    } catch (cause) {
      const said =
        cause instanceof PostgresError && cause.cause instanceof Error ? cause.cause.message : String(cause);
      const state = cause instanceof PostgresError && cause.sqlState ? ` (SQLSTATE ${cause.sqlState})` : '';
      const short = statement.replace(/\s+/g, ' ').trim().slice(0, 200);
      throw new InstanceError(
        'BootstrapSQLFailed',
        `running ${field}[${index}] "${short}": ${said}${state}`,
        {
          hint: `nothing was kept of this attempt: mend what the SQL needs and the next try succeeds, or delete the cluster and make it again with another spec.bootstrap.initdb.${field}`,
          cause,
        },
      );
    }
  }
}

function disposable(session: Session) {
  return { session, [Symbol.asyncDispose]: async () => session.close() };
}
