import { createHash, createHmac, pbkdf2 as pbkdf2Callback, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

const pbkdf2 = promisify(pbkdf2Callback);
const ITERATIONS = 4096;
const FORM = /^SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)$/;

/**
 * The verifier that PostgreSQL stores for a password. Sent instead of the password, so that the password
 * itself reaches neither a log nor pg_stat_statements.
 */
export async function scramVerifier(
  password: string,
  salt: Buffer = randomBytes(16),
  iterations: number = ITERATIONS,
): Promise<string> {
  const salted = await pbkdf2(password.normalize('NFKC'), salt, iterations, 32, 'sha256');
  const hmac = (text: string) => createHmac('sha256', salted).update(text).digest();
  const stored = createHash('sha256').update(hmac('Client Key')).digest('base64');
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${stored}:${hmac('Server Key').toString('base64')}`;
}

/** True when a stored verifier is that of the password. */
export async function scramMatches(verifier: string | null, password: string): Promise<boolean> {
  const match = FORM.exec(verifier ?? '');
  if (!match || verifier === null) return false;
  const again = await scramVerifier(password, Buffer.from(match[2]!, 'base64'), Number(match[1]));
  const [a, b] = [Buffer.from(again), Buffer.from(verifier)];
  return a.length === b.length && timingSafeEqual(a, b);
}
