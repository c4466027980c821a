import { createHash } from 'node:crypto';

/** A short word for what a secret with a certificate holds: whom it trusts, and whom it shows. */
export function certificateMark(authorities: string, certificate: string): string {
  return createHash('sha256').update(`${authorities}\0${certificate}`).digest('base64url').slice(0, 16);
}
