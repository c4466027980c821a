/** Which certificates have to be made, replaced or trusted. Pure: reads certificates, makes none. */
import { names } from '@pgherd/api';
import type { Secret } from '@pgherd/kube';
import { authorityProblem, expiryOf, isTrusted, type KeyPair, leafProblem, signersOf } from '../pki.ts';
import type { Action } from './actions.ts';
import { givenProblem, type LeafName, type LeafSource, leafCheck, leafSource } from './certificates.ts';
import { type Facts, isTerminating } from './facts.ts';
import { hasFormer, isInUse, isSettled, lacksTrust, withFormer } from './overlap.ts';
import { isOwned } from './specs/metadata.ts';
import { needsRepositoryPod } from './specs/repository.ts';
import { decoded } from './specs/secrets.ts';

const DAY_MS = 86_400_000;
/** As in CloudNativePG: 90 days, made anew 7 days before the end. */
export const VALID_DAYS = 90;
const RENEW_BEFORE_MS = 7 * DAY_MS;

/** The authority in a secret, if both halves are there. */
export function authorityOf(secret: Secret | undefined): KeyPair | undefined {
  const cert = decoded(secret, 'ca.crt');
  const key = decoded(secret, 'ca.key');
  return cert && key ? { cert, key } : undefined;
}

/** A secret that we made and may change; a user's own is never touched. */
export function isOurs(facts: Facts, secret: Secret): boolean {
  return isOwned(secret, facts.cluster);
}

/** Certificates that are missing, do not serve, or end soon; and whom to trust, which comes before a new authority. */
export function planCertificates(facts: Facts): Action[] {
  const secret = facts.secrets.get(names(facts.cluster.metadata.name).ca);
  const authority = planAuthority(facts, secret);
  const works = leafNames(facts).map((which) => ({
    which,
    // One that is about to be made is trusted by nobody yet.
    work: leafWork(facts, which, authority === 'new' ? undefined : authorityOf(secret)),
  }));
  const settled =
    works.some(({ work }) => work === 'leaf, once settled' || work === 'forget') && isSettled(facts);
  const mixed = works.some(({ work }) => work !== undefined && work !== 'forget');
  const leaves = of(works, (work) => work === 'leaf' || (work === 'leaf, once settled' && settled));
  // Nobody is forgotten while somebody still shows what he has signed.
  const forget = of(works, (work) => work === 'forget' && settled && !mixed);
  const trust = of(works, (work) => work === 'trust');
  if (authority === 'keep' && leaves.length + trust.length + forget.length === 0) return [];
  const more = { ...(trust.length > 0 ? { trust } : {}), ...(forget.length > 0 ? { forget } : {}) };
  return [{ do: 'certificates', authority, leaves, ...more }];
}

/**
 * leaf: a new certificate at once. trust: only the authorities, the certificate stays. forget: an authority that is no
 * longer wanted goes.
 */
type Work = 'leaf' | 'leaf, once settled' | 'trust' | 'forget' | undefined;

function of(works: { which: LeafName; work: Work }[], where: (work: Work) => boolean): LeafName[] {
  return works.filter(({ work }) => where(work)).map(({ which }) => which);
}

/** The repository pod needs a certificate only where there is one. */
function leafNames(facts: Facts): LeafName[] {
  const volumes = needsRepositoryPod(facts);
  return ['server', 'replication', ...(volumes ? (['backup'] as const) : [])];
}

function planAuthority(facts: Facts, secret: Secret | undefined): 'keep' | 'new' | 'renew' {
  if (!secret) return 'new';
  if (!isOurs(facts, secret) || isTerminating(secret)) return 'keep';
  const authority = authorityOf(secret);
  if (!authority || cached(secret, 'authority', () => authorityProblem(authority))) return 'new';
  return endsSoon(facts, secret, authority.cert) ? 'renew' : 'keep';
}

/** `authority`: ours; undefined when there is none, or another one is about to be made. */
function leafWork(facts: Facts, which: LeafName, authority: KeyPair | undefined): Work {
  const secret = facts.secrets.get(names(facts.cluster.metadata.name)[which]);
  if (secret && (!isOurs(facts, secret) || isTerminating(secret))) return undefined;
  // Which authority it is does not matter to the question whether the user has brought what is needed.
  const source = leafSource(facts, which, authority ?? { cert: '', key: '' });
  if (!source) return undefined;
  const usable =
    secret !== undefined && cached(secret, 'in use', () => (isInUse(secret) ? 'yes' : '')) === 'yes';
  const unfit = source.given && givenProblem(facts, which, source.given);
  if (!usable) return unfit ? undefined : 'leaf';
  if (!authority) return 'trust';
  const known = decoded(secret, 'ca.crt') ?? '';
  const relation = cached(secret, source.trust, () =>
    trustWork(decoded(secret, 'tls.crt') ?? '', known, source.trust),
  ) as Work | '';
  // What the user has put there does not serve: the last good one stays.
  const wrong = !unfit && isWrong(facts, which, secret, source);
  if (wrong && relation !== 'trust') return wrong;
  return relation || (wrong ? 'trust' : undefined);
}

/** `cert`: the one that is shown. */
function trustWork(cert: string, known: string, wanted: string): 'trust' | 'forget' | '' {
  if (lacksTrust(known, wanted) || (known !== wanted && known !== withFormer(wanted, known))) return 'trust';
  return hasFormer(known, wanted) && isTrusted(cert, wanted) ? 'forget' : '';
}

/** Whether another certificate is to take the place of the one that is there. */
function isWrong(facts: Facts, which: LeafName, secret: Secret, { given, signer, trust }: LeafSource): Work {
  const leaf = { cert: decoded(secret, 'tls.crt') ?? '', key: decoded(secret, 'tls.key') ?? '' };
  // Who trusts the signer of the one trusts that of the other: nobody has to learn anything first.
  const step = (signers: string) => (isTrusted(leaf.cert, signers) ? 'leaf' : 'leaf, once settled');
  if (given) {
    if (leaf.cert === given.cert && leaf.key === given.key) return undefined;
    return step(signersOf(given.cert, trust));
  }
  if (!signer) return 'leaf';
  const check = leafCheck(which, facts);
  const what = JSON.stringify([signer.cert, check]);
  const wrong = cached(secret, what, () => leafProblem(leaf, signer.cert, check)) !== undefined;
  return wrong || endsSoon(facts, secret, leaf.cert) ? step(signer.cert) : undefined;
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
    ...(needsRepositoryPod(facts) ? [[own.backup, 'tls.crt']] : []),
  ].flatMap(([name, key]) => {
    const secret = facts.secrets.get(name!);
    const cert = decoded(secret, key!);
    const end = secret && cert ? cached(secret, 'end', () => expiryOf(cert)?.toISOString()) : undefined;
    return end ? [[name!, end] as const] : [];
  });
  return Object.fromEntries(entries);
}
