/** The files that the psql line of the demo names. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Access } from '../access.ts';

export interface ClientFiles {
  ca: string;
  passfile: string;
}

/** Writes the CA and a password file into a folder of this user; both are readable by nobody else. */
export function writeClientFiles(folder: string, access: Access): ClientFiles {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const files = { ca: join(folder, 'ca.crt'), passfile: join(folder, 'pgpass') };
  writeFileSync(files.ca, access.ca, { mode: 0o600 });
  const escaped = access.password.replaceAll('\\', '\\\\').replaceAll(':', '\\:');
  writeFileSync(files.passfile, `*:*:*:${access.user}:${escaped}\n`, { mode: 0o600 });
  chmodSync(files.passfile, 0o600);
  return files;
}

/** A connection string for psql that works as it stands: the certificate's name and the address apart. */
export function connectionString(access: Access, files: ClientFiles): string {
  return [
    `host=${access.serverName} hostaddr=${access.host} port=${access.port}`,
    `dbname=${access.database} user=${access.user}`,
    'sslmode=verify-full',
    `sslrootcert=${files.ca}`,
    `passfile=${files.passfile}`,
  ].join(' ');
}
