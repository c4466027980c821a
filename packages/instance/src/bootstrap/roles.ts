import { REPLICATION_USER } from '@pgherd/api';
import { quoteIdent, quoteLiteral, type Session } from '@pgherd/postgres';
import { scramMatches, scramVerifier } from '../database/scram.ts';

/** What pg_rewind reads files with. */
const REWIND_FUNCTIONS = [
  'pg_catalog.pg_ls_dir(text, boolean, boolean)',
  'pg_catalog.pg_stat_file(text, boolean)',
  'pg_catalog.pg_read_binary_file(text)',
  'pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)',
];

interface RoleRow extends Record<string, unknown> {
  login: boolean;
  replication: boolean;
  password: string | null;
}

async function readRole(session: Session, name: string): Promise<RoleRow | undefined> {
  const [row] = await session.query<RoleRow>(
    'select rolcanlogin as login, rolreplication as replication, rolpassword as password from pg_authid where rolname = $1',
    [name],
  );
  return row;
}

/** Makes the role that replicas connect as; it has no password and comes in by certificate only. */
export async function ensureReplicationRole(session: Session): Promise<void> {
  const role = await readRole(session, REPLICATION_USER);
  if (role?.login && role.replication) return;
  const name = quoteIdent(REPLICATION_USER);
  const grants = REWIND_FUNCTIONS.map((f) => `grant execute on function ${f} to ${name};`).join('\n');
  await session.query(`${role ? 'alter' : 'create'} role ${name} with login replication;\n${grants}`);
}

/** Makes a role that may log in, if there is none, and sees to its password; without one it keeps what it has. */
export async function ensureLoginRole(
  session: Session,
  name: string,
  password: string | undefined,
): Promise<void> {
  const role = await readRole(session, name);
  if (!role) await session.query(`create role ${quoteIdent(name)} with login`);
  if (password === undefined || (await scramMatches(role?.password ?? null, password))) return;
  await setPassword(session, name, await scramVerifier(password));
}

/** Gives the superuser its password, or takes it away: then nobody comes in as superuser over the network. */
export async function ensureSuperuserPassword(session: Session, password: string | undefined): Promise<void> {
  const role = await readRole(session, 'postgres');
  if (password === undefined) {
    if (role?.password != null) await session.query('alter role postgres password null');
    return;
  }
  if (!(await scramMatches(role?.password ?? null, password))) {
    await setPassword(session, 'postgres', await scramVerifier(password));
  }
}

async function setPassword(session: Session, name: string, verifier: string): Promise<void> {
  await session.query(`alter role ${quoteIdent(name)} password ${quoteLiteral(verifier)}`);
}
