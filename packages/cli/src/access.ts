/** What an application needs to connect to a cluster, read from where users find it. */
import { names } from '@pgherd/api';
import { type Client, kinds } from '@pgherd/kube';
import { hostPort } from '@pgherd/local';
import { CliError } from './errors.ts';

export interface Access {
  host: string;
  port: number;
  /** The name in the server's certificate. */
  serverName: string;
  ca: string;
  user: string;
  password: string;
  database: string;
}

/** Login, database and CA of the application, with the address inside the Kubernetes cluster. */
export async function accessInside(client: Client, namespace: string, cluster: string): Promise<Access> {
  const { app } = names(cluster);
  const login = await client.get(kinds.Secret, { namespace, name: app });
  const read = (data: Record<string, string> | undefined, key: string, secret: string): string => {
    const value = data?.[key];
    if (value === undefined) throw new CliError('failed', `Secret ${namespace}/${secret} has no key ${key}.`);
    return Buffer.from(value, 'base64').toString('utf8');
  };
  const host = read(login.data, 'host', app);
  return {
    host,
    port: Number(read(login.data, 'port', app)),
    serverName: names(cluster).rw,
    ca: read(login.data, 'ca.crt', app),
    user: read(login.data, 'username', app),
    password: read(login.data, 'password', app),
    database: read(login.data, 'dbname', app),
  };
}

/** The same, with the address at which this machine reaches the service in local mode (the primary's by default). */
export async function accessFromHost(
  client: Client,
  state: string,
  namespace: string,
  cluster: string,
  service: 'rw' | 'ro' | 'r' = 'rw',
): Promise<Access> {
  const inside = await accessInside(client, namespace, cluster);
  const name = names(cluster)[service];
  const port = await hostPort(state, namespace, name, inside.port);
  return { ...inside, host: '127.0.0.1', port, serverName: name };
}
