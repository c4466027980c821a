/** Where the certificates of a cluster come from: our own authority, or what its user brings. Pure. */
import { instanceHost, names, REPLICATION_USER } from '@pgherd/api';
import type { Secret } from '@pgherd/kube';
import { certificatesIn, expiryOf, holderOf, type KeyPair, type LeafCheck, leafProblem } from '../pki.ts';
import type { Facts } from './facts.ts';
import { withFormer } from './overlap.ts';
import { decoded } from './specs/secrets.ts';

export type LeafName = 'server' | 'replication' | 'backup';

export const DEFAULT_CLUSTER_DOMAIN = 'cluster.local';

/** Names under which clients, replicas and the operator reach an instance. */
export function serverNames(cluster: string, namespace: string, domain = DEFAULT_CLUSTER_DOMAIN): string[] {
  const own = names(cluster);
  // The last is for pgBackRest, which checks the name of the very instance it talks to.
  return [
    ...[own.rw, own.r, own.ro].flatMap((name) => longNames(name, namespace, domain)),
    instanceHost(cluster, namespace, '*'),
  ];
}

function longNames(name: string, namespace: string, domain = DEFAULT_CLUSTER_DOMAIN): string[] {
  return [...shortNames(name, namespace), `${name}.${namespace}.svc.${domain}`];
}

function shortNames(name: string, namespace: string): string[] {
  return [name, `${name}.${namespace}`, `${name}.${namespace}.svc`];
}

/** What a leaf that we make has to say. */
export function leafCheck(
  which: LeafName,
  { cluster, spec, clusterDomain }: Pick<Facts, 'cluster' | 'spec' | 'clusterDomain'>,
): LeafCheck {
  if (which === 'replication') return { commonName: REPLICATION_USER };
  const { name, namespace } = cluster.metadata;
  const { backup } = names(name);
  if (which === 'backup')
    return { commonName: backup, dnsNames: longNames(backup, namespace, clusterDomain) };
  const own = serverNames(name, namespace, clusterDomain);
  return { commonName: names(name).rw, dnsNames: [...own, ...spec.certificates.serverAltDNSNames] };
}

/** What makes up one of the two certificates that instances use. */
export interface LeafSource {
  /** Signs it, where we make it. */
  signer?: KeyPair;
  /** The user's own, as it is. */
  given?: KeyPair;
  /** What verifies it, PEM: its authority, and ours, which vouches for the operator and among the instances. */
  trust: string;
}

interface UserSecrets {
  authority: string | undefined;
  leaf: string | undefined;
}

function userSecrets({ spec }: Pick<Facts, 'spec'>, which: 'server' | 'replication'): UserSecrets {
  const { serverCASecret, serverTLSSecret, clientCASecret, replicationTLSSecret } = spec.certificates;
  return which === 'server'
    ? { authority: serverCASecret, leaf: serverTLSSecret }
    : { authority: clientCASecret, leaf: replicationTLSSecret };
}

/** Names of the secrets with certificates that the spec names. */
export function certificateSecrets(facts: Pick<Facts, 'spec'>): string[] {
  return (['server', 'replication'] as const)
    .flatMap((which) => Object.values(userSecrets(facts, which)))
    .filter((name) => name !== undefined);
}

/** The source of a leaf; undefined while a secret that the spec names lacks what it needs. `own` is our authority. */
export function leafSource(
  facts: Pick<Facts, 'spec' | 'secrets'>,
  which: LeafName,
  own: KeyPair,
): LeafSource | undefined {
  if (which === 'backup') return { signer: own, trust: everyAuthority(facts, own.cert) };
  const named = userSecrets(facts, which);
  if (!named.authority) return { signer: own, trust: own.cert };
  const secret = facts.secrets.get(named.authority);
  const cert = decoded(secret, 'ca.crt');
  if (!cert) return undefined;
  const trust = joined([cert, own.cert]);
  if (named.leaf) {
    const given = pairOf(facts.secrets.get(named.leaf));
    return given && { given, trust };
  }
  const key = decoded(secret, 'ca.key');
  return key ? { signer: { cert: holderOf(cert, key), key }, trust } : undefined;
}

/** The repository pod talks to instances as a client and as a server. */
function everyAuthority(facts: Pick<Facts, 'spec' | 'secrets'>, own: string): string {
  const { serverCASecret, clientCASecret } = facts.spec.certificates;
  const certs = [serverCASecret, clientCASecret].map((name) =>
    name ? decoded(facts.secrets.get(name), 'ca.crt') : undefined,
  );
  const known = certs.filter((cert) => cert !== undefined);
  return known.length > 0 ? joined([...known, own]) : own;
}

/**
 * What verifies the certificate of the servers: for clients. While one authority takes the place of another, both do.
 * `own` is our authority's certificate.
 */
export function serverAuthority(
  facts: Pick<Facts, 'spec' | 'secrets' | 'cluster'>,
  own: string | undefined,
): string | undefined {
  const { serverCASecret } = facts.spec.certificates;
  const wanted = serverCASecret ? decoded(facts.secrets.get(serverCASecret), 'ca.crt') : own;
  if (!wanted || !own) return wanted;
  const known = decoded(facts.secrets.get(names(facts.cluster.metadata.name).server), 'ca.crt');
  const all = joined([wanted, own]);
  const former = certificatesIn(withFormer(all, known)).slice(certificatesIn(all).length);
  return former.length > 0 ? joined([wanted, ...former]) : wanted;
}

function pairOf(secret: Secret | undefined): KeyPair | undefined {
  const cert = decoded(secret, 'tls.crt');
  const key = decoded(secret, 'tls.key');
  return cert && key ? { cert, key } : undefined;
}

function joined(certs: string[]): string {
  return `${[...new Set(certs.flatMap(certificatesIn))].join('\n')}\n`;
}

/** What a certificate that the user brings has to say: less than one of ours. */
function givenCheck({ cluster }: Pick<Facts, 'cluster'>, which: LeafName): LeafCheck {
  const { name, namespace } = cluster.metadata;
  return which === 'replication'
    ? { commonName: REPLICATION_USER }
    : { dnsNames: shortNames(names(name).rw, namespace) };
}

/** Why what the user has brought cannot be used, if it cannot. */
export function givenProblem(facts: Facts, which: 'server' | 'replication' | 'backup', given: KeyPair) {
  const { authority } = which === 'backup' ? { authority: undefined } : userSecrets(facts, which);
  const cert = authority && decoded(facts.secrets.get(authority), 'ca.crt');
  return leafProblem(given, cert ?? '', givenCheck(facts, which));
}

/** What is wrong with the certificates that the user brings, in words for him. */
export function certificateProblems(facts: Facts): string[] {
  return (['server', 'replication'] as const).flatMap((which) => {
    const named = userSecrets(facts, which);
    const authority = named.authority ? facts.secrets.get(named.authority) : undefined;
    if (!authority) return [];
    const cert = decoded(authority, 'ca.crt');
    if (!cert) return [`the secret ${named.authority} has no ca.crt`];
    if (!named.leaf) {
      const field = which === 'server' ? 'serverTLSSecret' : 'replicationTLSSecret';
      return decoded(authority, 'ca.key')
        ? []
        : [`the secret ${named.authority} has no ca.key: add it, or name spec.certificates.${field}`];
    }
    const secret = facts.secrets.get(named.leaf);
    return secret ? leafProblems(facts, which, named.leaf, secret, cert) : [];
  });
}

function leafProblems(
  facts: Facts,
  which: LeafName,
  name: string,
  secret: Secret,
  authority: string,
): string[] {
  const pair = pairOf(secret);
  if (!pair) return [`the secret ${name} lacks tls.crt or tls.key`];
  const problem = leafProblem(pair, authority, givenCheck(facts, which));
  if (problem) return [`the certificate in the secret ${name} does not serve: ${problem}`];
  const end = expiryOf(pair.cert);
  return end && end.getTime() < facts.now
    ? [`the certificate in the secret ${name} ended at ${end.toISOString()}: put a new one there`]
    : [];
}
