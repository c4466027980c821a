/** Which secrets have to be made or renewed. Pure: reads certificates, makes none. */
import { names } from '@pgherd/api';
import { kinds, type Secret } from '@pgherd/kube';
import { authorityProblem, expiryOf, type KeyPair, leafProblem } from '../pki.ts';
import type { Action } from './actions.ts';
import { certificateSecrets, type LeafName, leafCheck, leafSource, serverAuthority } from './certificates.ts';
import { type Facts, isTerminating } from './facts.ts';
import { isOwned } from './specs/metadata.ts';
import { volumeRepositories } from './specs/repository.ts';
import { decoded, loginData } from './specs/secrets.ts';

const DAY_MS = 86_400_000;
/** As in CloudNativePG: 90 days, made anew 7 days before the end. */
export const VALID_DAYS = 90;
export const RENEW_BEFORE_MS = 7 * DAY_MS;

/** The authority in a secret, if both halves are there. */
export function authorityOf(secret: Secret | undefined): KeyPair | undefined {
  const cert = decoded(secret, 'ca.crt');
  const key = decoded(secret, 'ca.key');
  return cert && key ? { cert, key } : undefined;
}

/** A secret that we made and may change; a user's own is never touched. */
function isOurs(facts: Facts, secret: Secret): boolean {
  return isOwned(secret, facts.cluster);
}

/** Certificates that are missing, do not serve, or end soon. */
export function planCertificates(facts: Facts): Action[] {
  const secret = facts.secrets.get(names(facts.cluster.metadata.name).ca);
  const authority = planAuthority(facts, secret);
  const staying = authority === 'keep' ? authorityOf(secret) : undefined;
  const leaves = leafNames(facts).filter((which) => leafNeeded(facts, which, staying));
  return authority === 'keep' && leaves.length === 0 ? [] : [{ do: 'certificates', authority, leaves }];
}

/** The repository pod needs a certificate only where there is one. */
function leafNames({ spec }: Facts): LeafName[] {
  const volumes = volumeRepositories(spec.backup).length > 0;
  return ['server', 'replication', ...(volumes ? (['backup'] as const) : [])];
}

function planAuthority(facts: Facts, secret: Secret | undefined): 'keep' | 'new' | 'renew' {
  if (!secret) return 'new';
  if (!isOurs(facts, secret) || isTerminating(secret)) return 'keep';
  const authority = authorityOf(secret);
  if (!authority || cached(secret, 'authority', () => authorityProblem(authority))) return 'new';
  return endsSoon(facts, secret, authority.cert) ? 'renew' : 'keep';
}

/** `authority`: ours, if it is to stay; undefined when it is about to change. */
function leafNeeded(facts: Facts, which: LeafName, authority: KeyPair | undefined): boolean {
  const secret = facts.secrets.get(names(facts.cluster.metadata.name)[which]);
  if (secret && (!isOurs(facts, secret) || isTerminating(secret))) return false;
  // Which authority it is does not matter to the question whether the user has brought what is needed.
  const source = leafSource(facts, which, authority ?? { cert: '', key: '' });
  if (!source) return false;
  if (!secret || !authority || decoded(secret, 'ca.crt') !== source.trust) return true;
  const leaf = { cert: decoded(secret, 'tls.crt') ?? '', key: decoded(secret, 'tls.key') ?? '' };
  const { given, signer } = source;
  if (given) return leaf.cert !== given.cert || leaf.key !== given.key;
  if (!signer || endsSoon(facts, secret, leaf.cert)) return true;
  const check = leafCheck(which, facts);
  const what = JSON.stringify([signer.cert, check]);
  return cached(secret, what, () => leafProblem(leaf, signer.cert, check)) !== undefined;
}

function endsSoon(facts: Facts, secret: Secret, cert: string): boolean {
  const end = cached(secret, 'end', () => expiryOf(cert)?.toISOString());
  return end === undefined || Date.parse(end) - facts.now < RENEW_BEFORE_MS;
}

/** Reading a certificate costs more than all else of a steady look; the object in the cache is the same each time. */
const seen = new WeakMap<Secret, Map<string, string | undefined>>();

function cached(secret: Secret, what: string, read: () => string | undefined): string | undefined {
  let known = seen.get(secret);
  if (!known) {
    known = new Map();
    seen.set(secret, known);
  }
  if (!known.has(what)) known.set(what, read());
  return known.get(what);
}

/** When the certificates of the cluster end, by the name of their secret. */
export function expirations(facts: Facts): Record<string, string> {
  const own = names(facts.cluster.metadata.name);
  const entries = [
    [own.ca, 'ca.crt'],
    [own.server, 'tls.crt'],
    [own.replication, 'tls.crt'],
    ...(volumeRepositories(facts.spec.backup).length > 0 ? [[own.backup, 'tls.crt']] : []),
  ].flatMap(([name, key]) => {
    const secret = facts.secrets.get(name!);
    const cert = decoded(secret, key!);
    const end = secret && cert ? cached(secret, 'end', () => expiryOf(cert)?.toISOString()) : undefined;
    return end ? [[name!, end] as const] : [];
  });
  return Object.fromEntries(entries);
}

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
