import type { EffectiveSpec } from '@pgherd/api';
import { type Client, kinds } from '@pgherd/kube';
import { InstanceError } from '../errors.ts';
import type { BootstrapInputs } from './plan.ts';

type References = EffectiveSpec['initdb']['postInitSQLRefs'];

/** Login of a secret of type basic-auth; undefined when there is no such secret (yet). */
export async function readLogin(
  client: Client,
  namespace: string,
  name: string,
): Promise<{ username: string; password: string } | undefined> {
  const secret = await client.find(kinds.Secret, { namespace, name }, { timeoutMs: 5000 });
  if (!secret) return undefined;
  const field = (key: string): string => {
    const value = secret.data?.[key];
    if (value === undefined) {
      throw new InstanceError(
        'BadSecret',
        `reading the login in secret ${namespace}/${name}: it has no "${key}"`,
        {
          hint: 'a login secret has the keys username and password (type kubernetes.io/basic-auth)',
        },
      );
    }
    return Buffer.from(value, 'base64').toString('utf8');
  };
  return { username: field('username'), password: field('password') };
}

/**
 * Reads from the API what the first SQL needs. Throws InstanceError `ReferenceMissing` (the operator makes its
 * secrets within moments: try again) or `BadSecret`.
 */
export async function readBootstrapInputs(
  client: Client,
  namespace: string,
  eff: EffectiveSpec,
): Promise<BootstrapInputs> {
  const { initdb } = eff;
  const login = async (name: string): Promise<{ username: string; password: string }> => {
    const found = await readLogin(client, namespace, name);
    if (!found) throw missing('Secret', namespace, name);
    return found;
  };
  const app = initdb.owner === 'postgres' ? undefined : await login(initdb.secret);
  if (app && app.username !== initdb.owner) {
    throw new InstanceError(
      'BadSecret',
      `reading the owner's login in secret ${namespace}/${initdb.secret}: its username is "${app.username}", the owner is "${initdb.owner}"`,
      { hint: 'make spec.bootstrap.initdb.owner and the username of the secret the same' },
    );
  }
  const superuser = eff.enableSuperuserAccess ? await login(eff.superuserSecret) : undefined;
  return {
    ...(app ? { ownerPassword: app.password } : {}),
    ...(superuser ? { superuserPassword: superuser.password } : {}),
    sql: {
      postInit: await readTexts(client, namespace, initdb.postInitSQLRefs),
      postInitApplication: await readTexts(client, namespace, initdb.postInitApplicationSQLRefs),
      postInitTemplate: await readTexts(client, namespace, initdb.postInitTemplateSQLRefs),
    },
  };
}

async function readTexts(client: Client, namespace: string, refs: References): Promise<string[]> {
  const texts: string[] = [];
  for (const ref of refs.secretRefs) {
    const secret = await client.find(kinds.Secret, { namespace, name: ref.name });
    const value = secret?.data?.[ref.key];
    if (value === undefined) throw missing('Secret', namespace, ref.name, ref.key);
    texts.push(Buffer.from(value, 'base64').toString('utf8'));
  }
  for (const ref of refs.configMapRefs) {
    const map = await client.find(kinds.ConfigMap, { namespace, name: ref.name });
    const value = map?.data?.[ref.key];
    if (value === undefined) throw missing('ConfigMap', namespace, ref.name, ref.key);
    texts.push(value);
  }
  return texts;
}

function missing(kind: string, namespace: string, name: string, key?: string): InstanceError {
  const what =
    key === undefined ? `${kind} ${namespace}/${name}` : `key "${key}" of ${kind} ${namespace}/${name}`;
  return new InstanceError(
    'ReferenceMissing',
    `reading what spec.bootstrap.initdb refers to: there is no ${what}`,
    {
      hint: 'create it; the instance tries again by itself',
    },
  );
}
