/**
 * From one authority to another with a different key, without anybody being shut out: first everybody trusts both,
 * then certificates are replaced, then the old authority is forgotten. Pure.
 */
import { certificateMark, names } from '@pgherd/api';
import type { Secret } from '@pgherd/kube';
import { certificatesIn, isSameAuthority, isTrusted } from '../pki.ts';
import { type Facts, isTerminating } from './facts.ts';
import { needsRepositoryPod } from './specs/repository.ts';
import { decoded } from './specs/secrets.ts';

/** On our secrets with certificates: when we changed them last. */
export const ANNOTATION_CHANGED = 'pgherd.io/changed';

/** What an instance says is in force takes PostgreSQL a moment. */
const MOMENT_MS = 3_000;
/** A repository pod has its secret mounted: the kubelet brings it within two minutes. */
const MOUNTED_MS = 150_000;
/** One that says nothing gets the secrets by itself once it is back. */
const PATIENCE_MS = 600_000;

/** Certificates of `known` that none of `wanted` stands for: neither itself, nor another of the same name and key. */
function without(known: string, wanted: string): string[] {
  const there = certificatesIn(wanted);
  return certificatesIn(known).filter((cert) => !there.some((other) => isSameAuthority(cert, other)));
}

/** The wanted authorities, and whoever else was trusted so far. */
export function withFormer(wanted: string, known: string | undefined): string {
  const certs = [...certificatesIn(wanted), ...without(known ?? '', wanted)];
  return certs.length > 0 ? `${certs.join('\n')}\n` : wanted;
}

/** Whether somebody is trusted who is not wanted any more. */
export function hasFormer(known: string, wanted: string): boolean {
  return without(known, wanted).length > 0;
}

/** Whether somebody is wanted who is not trusted yet. */
export function lacksTrust(known: string, wanted: string): boolean {
  return without(wanted, known).length > 0;
}

/** Whether a certificate that is there can be judged by the authorities in its own secret. */
export function isInUse(secret: Secret): boolean {
  const [cert = '', authorities = ''] = [decoded(secret, 'tls.crt'), decoded(secret, 'ca.crt')];
  return decoded(secret, 'tls.key') !== undefined && isTrusted(cert, authorities);
}

/** Whether what the secrets hold is in force everywhere, so that the next step may be taken. */
export function isSettled(facts: Facts): boolean {
  const own = names(facts.cluster.metadata.name);
  const mounted = needsRepositoryPod(facts);
  const secrets = [own.server, own.replication, ...(mounted ? [own.backup] : [])].map((name) =>
    facts.secrets.get(name),
  );
  const changed = secrets.map((secret) =>
    Date.parse(secret?.metadata.annotations?.[ANNOTATION_CHANGED] ?? ''),
  );
  const age = facts.now - Math.max(0, ...changed.filter((at) => !Number.isNaN(at)));
  if (age < (mounted ? MOUNTED_MS : MOMENT_MS)) return false;
  if (age >= PATIENCE_MS) return true;
  const marks = [own.server, own.replication].map((name) => markOf(facts.secrets.get(name)));
  return facts.instances.every(({ pod, report }) => {
    if (!pod || isTerminating(pod)) return true;
    const { server, replication } = report?.certificates ?? {};
    return server === marks[0] && replication === marks[1];
  });
}

function markOf(secret: Secret | undefined): string {
  return certificateMark(decoded(secret, 'ca.crt') ?? '', decoded(secret, 'tls.crt') ?? '');
}
