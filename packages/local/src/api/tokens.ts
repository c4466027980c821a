/** Service-account tokens: signed JSON Web Tokens, bound to an account and, when asked, to a pod. */
import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

export const ISSUER = 'https://kubernetes.default.svc.cluster.local';

export interface TokenClaims {
  iss: string;
  sub: string;
  aud: string[];
  exp: number;
  iat: number;
  nbf: number;
  jti?: string;
  'kubernetes.io': {
    namespace: string;
    serviceaccount: { name: string; uid: string };
    pod?: { name: string; uid: string };
    secret?: { name: string; uid: string };
    node?: { name: string; uid: string };
    warnafter?: number;
  };
}

const base64url = (data: Buffer | string) => Buffer.from(data).toString('base64url');

/** Names a key by its public half, so that a verifier with several can choose. */
export function keyId(key: KeyObject): string {
  const der = createPublicKey(key.export({ type: 'spki', format: 'pem' })).export({
    type: 'spki',
    format: 'der',
  });
  return createHash('sha256').update(der).digest('base64url');
}

/** Signs claims with an EC P-256 key (ES256). */
export function signToken(claims: TokenClaims, privateKey: KeyObject, kid: string): string {
  const head = base64url(JSON.stringify({ alg: 'ES256', kid, typ: 'JWT' }));
  const payload = base64url(JSON.stringify(claims));
  const signature = sign('sha256', Buffer.from(`${head}.${payload}`), {
    key: privateKey,
    dsaEncoding: 'ieee-p1363',
  });
  return `${head}.${payload}.${base64url(signature)}`;
}

/** The claims of a token whose signature holds and that is neither expired nor premature; else undefined. */
export function verifyToken(
  token: string,
  publicKey: KeyObject,
  nowSeconds: number,
): TokenClaims | undefined {
  const [head, payload, signature, more] = token.split('.');
  if (!head || !payload || !signature || more !== undefined) return undefined;
  try {
    const header = JSON.parse(Buffer.from(head, 'base64url').toString()) as { alg?: string };
    if (header.alg !== 'ES256') return undefined;
    const key = { key: publicKey, dsaEncoding: 'ieee-p1363' as const };
    if (!verify('sha256', Buffer.from(`${head}.${payload}`), key, Buffer.from(signature, 'base64url')))
      return undefined;
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as TokenClaims;
    if (claims.exp <= nowSeconds || claims.nbf > nowSeconds + 5) return undefined;
    return claims;
  } catch {
    // Not JSON, not base64: not a token of ours.
    return undefined;
  }
}
