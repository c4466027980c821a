/** Which secrets with logins have to be made or changed. Pure. */
import { names } from '@pgherd/api';
import { kinds } from '@pgherd/kube';
import type { Action } from './actions.ts';
import { certificateSecrets, serverAuthority } from './certificates.ts';
import { type Facts, isTerminating } from './facts.ts';
import { isOurs } from './plan-certificates.ts';
import { decoded, loginData } from './specs/secrets.ts';

/** The content of a login's secret; the password that is there stays. Undefined where the secret is not ours. */
export function desiredLogin(
  facts: Facts,
  which: 'app' | 'superuser',
  newPassword: () => string,
  authority: string | undefined,
): { name: string; data: Record<string, string> } | undefined {
  const { spec, cluster } = facts;
  const wanted =
    which === 'app'
      ? spec.initdb.ownSecret && {
          name: spec.initdb.secret,
          username: spec.initdb.owner,
          database: spec.initdb.database,
        }
      : spec.enableSuperuserAccess &&
        spec.ownSuperuserSecret && { name: spec.superuserSecret, username: 'postgres', database: 'postgres' };
  if (!wanted) return undefined;
  const { name, ...login } = wanted;
  const current = facts.secrets.get(name);
  if (current && !isOurs(facts, current)) return undefined;
  const password = decoded(current, 'password') || newPassword();
  const data = loginData(
    cluster.metadata.name,
    cluster.metadata.namespace,
    { ...login, password },
    authority,
  );
  return { name, data };
}

/** Logins that are missing or lack something, and a superuser's that is no longer wanted. */
export function planLogins(facts: Facts): Action[] {
  const own = names(facts.cluster.metadata.name);
  const authority = serverAuthority(facts, decoded(facts.secrets.get(own.ca), 'ca.crt'));
  const actions: Action[] = [];
  for (const which of ['app', 'superuser'] as const) {
    const desired = desiredLogin(facts, which, () => '', authority);
    if (!desired) continue;
    const current = facts.secrets.get(desired.name);
    const same =
      current &&
      Object.entries(desired.data).every(([key, value]) => value !== '' && decoded(current, key) === value);
    if (!same) actions.push({ do: 'login', which });
  }
  return [...actions, ...planUnwantedSuperuser(facts)];
}

function planUnwantedSuperuser(facts: Facts): Action[] {
  const { spec, cluster } = facts;
  const name = names(cluster.metadata.name).superuser;
  const secret = facts.secrets.get(name);
  if (!secret || isTerminating(secret) || !isOurs(facts, secret)) return [];
  if (spec.enableSuperuserAccess && spec.ownSuperuserSecret) return [];
  const why = 'superuser access is off, or another secret is named';
  return [{ do: 'delete', kind: kinds.Secret, name, uid: secret.metadata.uid ?? '', why }];
}

/** Secrets that the spec names and that are the user's to make, but are not there. */
export function missingSecrets(facts: Facts): string[] {
  const { spec } = facts;
  const named = [
    ...(spec.initdb.ownSecret ? [] : [spec.initdb.secret]),
    ...(spec.enableSuperuserAccess && !spec.ownSuperuserSecret ? [spec.superuserSecret] : []),
    ...certificateSecrets(facts),
  ];
  return named.filter((name) => !facts.secrets.has(name));
}
