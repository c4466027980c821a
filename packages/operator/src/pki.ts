/** Certificates: making them (ECDSA P-256) and reading what they say. Knows nothing of Kubernetes. */
import 'reflect-metadata';
import { createPrivateKey, createPublicKey, randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { OperatorError } from './errors.ts';

/** A certificate with its key, both PEM. */
export interface KeyPair {
  cert: string;
  key: string;
}

export interface Span {
  now: Date;
  days: number;
}

export interface LeafOptions extends Span {
  commonName: string;
  dnsNames?: string[];
  usage: 'server' | 'client' | 'both';
}

const DAY_MS = 86_400_000;
/** Clocks of nodes differ: a certificate is valid before it was made. */
const BACKDATE_MS = 3_600_000;

interface Algorithm {
  name: string;
  hash: string;
  namedCurve?: string;
}

const P256: Algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const CURVES: Record<string, string> = { prime256v1: 'P-256', secp384r1: 'P-384', secp521r1: 'P-521' };

/** RFC 5280: positive and at most 20 octets. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes.toString('hex');
}

function validity({ now, days }: Span): { notBefore: Date; notAfter: Date } {
  return {
    notBefore: new Date(now.getTime() - BACKDATE_MS),
    notAfter: new Date(now.getTime() + days * DAY_MS),
  };
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return (await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
}

function pem(text: string): string {
  return `${text.trimEnd()}\n`;
}

async function pemOfKey(key: webcrypto.CryptoKey): Promise<string> {
  return pem(x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY'));
}

/** Reads a key of any PEM form that Node reads, EC or RSA, for signing. */
async function importKeys(text: string): Promise<{ keys: webcrypto.CryptoKeyPair; algorithm: Algorithm }> {
  const key = createPrivateKey(text);
  const algorithm =
    key.asymmetricKeyType === 'rsa'
      ? { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
      : { ...P256, namedCurve: CURVES[key.asymmetricKeyDetails?.namedCurve ?? ''] ?? 'P-256' };
  const { subtle } = webcrypto;
  const [privateKey, publicKey] = await Promise.all([
    subtle.importKey('pkcs8', key.export({ type: 'pkcs8', format: 'der' }), algorithm, true, ['sign']),
    subtle.importKey('spki', createPublicKey(key).export({ type: 'spki', format: 'der' }), algorithm, true, [
      'verify',
    ]),
  ]);
  return { keys: { privateKey, publicKey }, algorithm };
}

async function selfSign(
  commonName: string,
  span: Span,
  keys: webcrypto.CryptoKeyPair,
  algorithm: Algorithm,
): Promise<string> {
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [commonName] }],
    ...validity(span),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return pem(cert.toString('pem'));
}

/** Makes a self-signed authority that may sign leaves, but no further authorities. */
export async function createAuthority(options: Span & { commonName: string }): Promise<KeyPair> {
  const keys = await newKeys();
  return {
    cert: await selfSign(options.commonName, options, keys, P256),
    key: await pemOfKey(keys.privateKey),
  };
}

/**
 * A new certificate for the same authority: same name and key, so that whoever trusts either of the two
 * believes every leaf of both, and nothing has to change in step.
 */
export async function renewAuthority(authority: KeyPair, span: Span): Promise<KeyPair> {
  return reading('the certificate authority', async () => {
    const { keys, algorithm } = await importKeys(authority.key);
    const subject = new x509.X509Certificate(authority.cert).subjectName.getField('CN')[0] ?? 'pgherd';
    return { cert: await selfSign(subject, span, keys, algorithm), key: authority.key };
  });
}

/**
 * Signs a leaf certificate. A leaf never outlives its authority.
 *
 * @throws {OperatorError} `pki` when the authority cannot be read
 */
export async function createLeaf(authority: KeyPair, options: LeafOptions): Promise<KeyPair> {
  return reading('the certificate authority', async () => {
    const issuer = new x509.X509Certificate(authority.cert);
    const [keys, signer] = await Promise.all([newKeys(), importKeys(authority.key)]);
    const span = validity(options);
    const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
    const extensions: x509.Extension[] = [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(
        { server: [serverAuth], client: [clientAuth], both: [serverAuth, clientAuth] }[options.usage],
      ),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ];
    if (options.dnsNames?.length) {
      const alternatives = options.dnsNames.map((value) => ({ type: 'dns' as const, value }));
      extensions.push(new x509.SubjectAlternativeNameExtension(alternatives));
    }
    const cert = await x509.X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      issuer: issuer.subjectName.toJSON(),
      subject: [{ CN: [options.commonName] }],
      notBefore: span.notBefore,
      notAfter: new Date(Math.min(span.notAfter.getTime(), issuer.notAfter.getTime())),
      signingAlgorithm: signer.algorithm,
      signingKey: signer.keys.privateKey,
      publicKey: keys.publicKey,
      extensions,
    });
    return { cert: pem(cert.toString('pem')), key: await pemOfKey(keys.privateKey) };
  });
}

async function reading<T>(what: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    throw new OperatorError('pki', `reading ${what}: ${(cause as Error).message}`, {
      cause,
      hint: 'tls.crt, ca.crt and the keys must be PEM; delete the secret to have it made anew',
    });
  }
}

/** When a certificate ends; undefined when it cannot be read. */
export function expiryOf(cert: string): Date | undefined {
  try {
    return new Date(new X509Certificate(cert).validTo);
  } catch {
    return undefined;
  }
}

/** The certificates in a PEM text, one each. */
export function certificatesIn(pem: string): string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}

/** Of several certificates the one that belongs to a key; the first, where none does. */
export function holderOf(pem: string, key: string): string {
  const certs = certificatesIn(pem);
  if (certs.length < 2) return pem;
  try {
    const secret = createPrivateKey(key);
    return certs.find((cert) => new X509Certificate(cert).checkPrivateKey(secret)) ?? pem;
  } catch {
    return pem;
  }
}

/** The same name and key: whoever trusts the one believes what the other has signed. */
export function isSameAuthority(a: string, b: string): boolean {
  if (a === b) return true;
  try {
    const [one, other] = [new X509Certificate(a), new X509Certificate(b)];
    return one.subject === other.subject && one.publicKey.equals(other.publicKey);
  } catch {
    return false;
  }
}

const LONGEST_CHAIN = 8;

/**
 * Whether one of the authorities (PEM, several) signed a certificate, by way of the intermediate ones that follow it.
 * Expiry is not looked at.
 */
export function isTrusted(chain: string, authorities: string): boolean {
  try {
    const [leaf, ...between] = certificatesIn(chain).map((cert) => new X509Certificate(cert));
    const roots = certificatesIn(authorities).map((cert) => new X509Certificate(cert));
    const signed = (cert: X509Certificate) => (by: X509Certificate) =>
      cert.checkIssued(by) && cert.verify(by.publicKey);
    let current = leaf;
    for (let depth = 0; current && depth < LONGEST_CHAIN; depth++) {
      if (roots.some(signed(current))) return true;
      current = between.find(signed(current));
    }
    return false;
  } catch {
    return false;
  }
}

/** Those of the authorities that vouch for a certificate. */
export function signersOf(chain: string, authorities: string): string {
  return certificatesIn(authorities)
    .filter((authority) => isTrusted(chain, authority))
    .join('\n');
}

export interface LeafCheck {
  /** Missing: whatever it is. */
  commonName?: string;
  dnsNames?: string[];
}

/** Why a leaf does not serve (in words), or undefined when it does. Expiry is not looked at. */
export function leafProblem(leaf: KeyPair, authorityCert: string, check: LeafCheck): string | undefined {
  try {
    const cert = new X509Certificate(leaf.cert);
    if (!cert.checkPrivateKey(createPrivateKey(leaf.key))) return 'its key belongs to another certificate';
    if (!isTrusted(leaf.cert, authorityCert)) return 'another authority signed it';
    if (check.commonName && !cert.subject.split('\n').includes(`CN=${check.commonName}`))
      return `it bears another name than ${check.commonName}`;
    const missing = (check.dnsNames ?? []).filter(
      (name) => cert.checkHost(name.replace(/^\*/, 'any'), { wildcards: true }) === undefined,
    );
    return missing.length > 0 ? `it lacks the names ${missing.join(', ')}` : undefined;
  } catch {
    return 'it cannot be read';
  }
}

/** Why an authority does not serve, or undefined when it does. Expiry is not looked at. */
export function authorityProblem(authority: KeyPair): string | undefined {
  try {
    const cert = new X509Certificate(authority.cert);
    if (!cert.ca) return 'it is no certificate authority';
    return cert.checkPrivateKey(createPrivateKey(authority.key))
      ? undefined
      : 'its key belongs to another certificate';
  } catch {
    return 'it cannot be read';
  }
}
