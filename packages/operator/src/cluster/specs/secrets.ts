/** Secrets with logins. Pure: passwords come in. */
import { names, POSTGRES_PORT } from '@pgherd/api';
import type { Secret } from '@pgherd/kube';
import { childMetadata, type SpecContext } from './metadata.ts';

export interface Login {
  username: string;
  password: string;
  /** The database the strings lead to. */
  database: string;
}

/** Seconds, and milliseconds of unacknowledged data: an application must notice a dead node by itself. */
const CONNECT_TIMEOUT = 5;
const TCP_USER_TIMEOUT = 5000;

/** The strings a client may copy. `ca` (PEM) is there too, for `sslrootcert`: the CA's own secret holds its key. */
export function loginData(
  cluster: string,
  namespace: string,
  login: Login,
  ca?: string,
): Record<string, string> {
  const host = `${names(cluster).rw}.${namespace}.svc`;
  const { username, password, database } = login;
  const [user, secret, db] = [username, password, database].map(encodeURIComponent) as [
    string,
    string,
    string,
  ];
  const settings = `connect_timeout=${CONNECT_TIMEOUT}&tcp_user_timeout=${TCP_USER_TIMEOUT}&target_session_attrs=read-write&sslmode=verify-full`;
  const jdbc = `user=${user}&password=${secret}&connectTimeout=${CONNECT_TIMEOUT}&targetServerType=primary&sslmode=verify-full`;
  return {
    username,
    password,
    dbname: database,
    host: names(cluster).rw,
    port: String(POSTGRES_PORT),
    uri: `postgresql://${user}:${secret}@${host}:${POSTGRES_PORT}/${db}?${settings}`,
    'jdbc-uri': `jdbc:postgresql://${host}:${POSTGRES_PORT}/${db}?${jdbc}`,
    pgpass: ['*', POSTGRES_PORT, database, username, password].map(pgpassField).join(':').concat('\n'),
    ...(ca ? { 'ca.crt': ca } : {}),
  };
}

function pgpassField(value: string | number): string {
  return String(value).replace(/[\\:]/g, '\\$&');
}

/** Base64, as the API stores it. */
export function encoded(data: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  );
}

/** The text of a key of a Secret, if it has it. */
export function decoded(secret: Secret | undefined, key: string): string | undefined {
  const value = secret?.data?.[key];
  return value === undefined ? undefined : Buffer.from(value, 'base64').toString('utf8');
}

export function secret(
  context: SpecContext,
  name: string,
  type: string,
  data: Record<string, string>,
  annotations?: Record<string, string>,
): Secret {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type,
    metadata: childMetadata(context, name, annotations ? { annotations } : {}),
    data: encoded(data),
  };
}
