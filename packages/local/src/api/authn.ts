/** Who is asking: client certificates, service-account tokens, impersonation, else anonymous. */
import { createPrivateKey, createPublicKey, type KeyObject, randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { unauthorized } from './status.ts';
import type { Store } from './store.ts';
import { ISSUER, keyId, signToken, type TokenClaims, verifyToken } from './tokens.ts';
import type { User } from './types.ts';

const ANONYMOUS: User = { name: 'system:anonymous', groups: ['system:unauthenticated'] };

/** What a token of a service account is asked for. */
export interface TokenWish {
  namespace: string;
  account: { name: string; uid: string };
  pod?: { name: string; uid: string };
  audiences: string[];
  seconds: number;
}

/** How long the token of a deleted account still works. */
const DELETED_ACCOUNT_GRACE_MS = 10_000;

export class Authenticator {
  readonly #store: Store;
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;
  readonly #kid: string;
  readonly #now: () => number;
  readonly #certificates = new WeakMap<TLSSocket, User>();
  readonly #tokens = new Map<string, { claims: TokenClaims; seenMs: number }>();

  constructor(store: Store, saKeyPem: string | Buffer, now: () => number) {
    this.#store = store;
    this.#privateKey = createPrivateKey(saKeyPem);
    this.#publicKey = createPublicKey(this.#privateKey);
    this.#kid = keyId(this.#publicKey);
    this.#now = now;
  }

  /** The caller of a request; throws 401 for a bad token. Impersonation is applied by the server, after RBAC. */
  identify(request: IncomingMessage): User {
    const header = request.headers.authorization;
    if (header?.startsWith('Bearer ')) {
      const user = this.userOfToken(header.slice(7).trim());
      if (!user) throw unauthorized();
      return user;
    }
    return this.#byCertificate(request.socket as TLSSocket) ?? ANONYMOUS;
  }

  #byCertificate(socket: TLSSocket): User | undefined {
    const known = this.#certificates.get(socket);
    if (known) return known;
    if (!socket.authorized) return undefined;
    const subject = socket.getPeerCertificate().subject as { CN?: string; O?: string | string[] } | undefined;
    if (!subject?.CN) return undefined;
    const organisations = subject.O === undefined ? [] : Array.isArray(subject.O) ? subject.O : [subject.O];
    const user: User = { name: subject.CN, groups: [...organisations, 'system:authenticated'] };
    this.#certificates.set(socket, user);
    return user;
  }

  /** The service account that a token speaks for, or undefined when it is not (or no longer) valid. */
  userOfToken(token: string, audiences: string[] = [ISSUER]): User | undefined {
    const claims = this.#claims(token);
    if (!claims?.aud.some((audience) => audiences.includes(audience))) return undefined;
    const { namespace, serviceaccount, pod } = claims['kubernetes.io'];
    return {
      name: `system:serviceaccount:${namespace}:${serviceaccount.name}`,
      uid: serviceaccount.uid,
      groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
      ...(pod
        ? {
            extra: {
              'authentication.kubernetes.io/pod-name': [pod.name],
              'authentication.kubernetes.io/pod-uid': [pod.uid],
            },
          }
        : {}),
    };
  }

  #claims(token: string): TokenClaims | undefined {
    const nowMs = this.#now();
    let known = this.#tokens.get(token);
    if (!known) {
      const claims = verifyToken(token, this.#publicKey, nowMs / 1000);
      if (!claims) return undefined;
      if (this.#tokens.size > 1000) this.#tokens.clear();
      known = { claims, seenMs: this.#alive(claims) ? nowMs : 0 };
      this.#tokens.set(token, known);
    }
    if (known.claims.exp <= nowMs / 1000) return undefined;
    if (this.#alive(known.claims)) known.seenMs = nowMs;
    return nowMs - known.seenMs < DELETED_ACCOUNT_GRACE_MS ? known.claims : undefined;
  }

  #alive(claims: TokenClaims): boolean {
    const { namespace, serviceaccount, pod } = claims['kubernetes.io'];
    const account = this.#store.get('serviceaccounts', namespace, serviceaccount.name);
    if (account?.metadata.uid !== serviceaccount.uid) return false;
    return !pod || this.#store.get('pods', namespace, pod.name)?.metadata.uid === pod.uid;
  }

  /** Issues a token; `expires` is in seconds since the epoch. */
  issue(wish: TokenWish): { token: string; expires: number } {
    const now = Math.floor(this.#now() / 1000);
    const expires = now + wish.seconds;
    const claims: TokenClaims = {
      iss: ISSUER,
      sub: `system:serviceaccount:${wish.namespace}:${wish.account.name}`,
      aud: wish.audiences.length ? wish.audiences : [ISSUER],
      exp: expires,
      iat: now,
      nbf: now,
      jti: randomUUID(),
      'kubernetes.io': {
        namespace: wish.namespace,
        serviceaccount: wish.account,
        ...(wish.pod ? { pod: wish.pod } : {}),
      },
    };
    return { token: signToken(claims, this.#privateKey, this.#kid), expires };
  }
}
