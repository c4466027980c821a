/** Carries out a plan. No judgement here beyond what to do first. */
import { randomBytes } from 'node:crypto';
import { type LeaseObject, names, writeLease } from '@pgherd/api';
import {
  type Client,
  ensureObject,
  isKubeError,
  type Kind,
  type KubeObject,
  kinds,
  type Lease,
  type Log,
} from '@pgherd/kube';
import { BackupKind } from '../backup/kind.ts';
import { OperatorError } from '../errors.ts';
import { createAuthority, createLeaf, type KeyPair, renewAuthority, type Span } from '../pki.ts';
import type { Action, Plan } from './actions.ts';
import { absorb, type ClusterCaches } from './caches.ts';
import { type LeafName, leafCheck, leafSource, serverAuthority } from './certificates.ts';
import type { Facts } from './facts.ts';
import type { ClusterMemory } from './memory.ts';
import { ANNOTATION_CHANGED, withFormer } from './overlap.ts';
import { authorityOf, VALID_DAYS } from './plan-certificates.ts';
import { desiredLogin } from './plan-secrets.ts';
import { isOwned, lostMarks } from './specs/metadata.ts';
import { decoded, secret } from './specs/secrets.ts';

export interface ActContext {
  client: Client;
  caches: ClusterCaches;
  memory: ClusterMemory;
  log: Log;
  signal: AbortSignal;
}

export interface Failure {
  /** In words for people. */
  message: string;
  error: unknown;
}

/** Failures in words for the status: without those that pass by themselves, and what is in the way in one sentence. */
export function failureTexts(failures: Failure[]): string[] {
  const codeOf = ({ error }: Failure) => (error as { code?: string }).code;
  const inTheWay = failures.filter((failure) => codeOf(failure) === 'foreign');
  const others = failures.filter(
    (failure) => !inTheWay.includes(failure) && codeOf(failure) !== 'stale' && codeOf(failure) !== 'Conflict',
  );
  const texts = others.map(({ message, error }) => {
    const { hint } = error as { hint?: string };
    return hint ? `${message} (${hint})` : message;
  });
  if (inTheWay.length === 0) return texts;
  const names = inTheWay.map(({ message }) => message).sort();
  return [
    `in the way, and not ours: ${names.join(', ')} (what a deleted cluster left goes by itself; anything else has to be renamed or deleted)`,
    ...texts,
  ];
}

/** What a pod needs to be admitted, and its manager to be let in: made before the pods. */
const FIRST: string[] = [kinds.ServiceAccount.kind, kinds.Role.kind, kinds.Lease.kind];

/**
 * Carries out all actions, as many at once as can be. One that fails does not hold up the others; what failed
 * comes back.
 */
export async function act(context: ActContext, facts: Facts, plan: Plan): Promise<Failure[]> {
  const actor = new Actor(context, facts);
  const steps = Map.groupBy(plan.actions, stepOf);
  const step = (name: Step) => steps.get(name) ?? [];
  await Promise.all([
    actor
      .all(step('first'))
      .then(() => Promise.all([actor.all(step('bindings')), actor.all(step('instances'))])),
    actor.secrets(step('secrets')),
  ]);
  // Nobody waits for these before a pod runs; everybody would wait for an API that is busy with them.
  await actor.all(step('any'));
  return actor.failures;
}

type Step = 'first' | 'bindings' | 'instances' | 'secrets' | 'any';

function stepOf(action: Action): Step {
  if (action.do === 'createInstance') return 'instances';
  if (action.do === 'certificates' || action.do === 'login') return 'secrets';
  if (action.do !== 'ensure' && action.do !== 'create') return 'any';
  // Whose role does not exist yet is refused: nobody gives what cannot be compared with what he has.
  if (action.kind.kind === kinds.RoleBinding.kind) return 'bindings';
  return FIRST.includes(action.kind.kind) ? 'first' : 'any';
}

/** The repository pod is asked by instances, and asks them. */
const LEAF_USAGE = { server: 'server', replication: 'client', backup: 'both' } as const;

class Actor {
  readonly failures: Failure[] = [];
  private readonly context: ActContext;
  private readonly facts: Facts;

  constructor(context: ActContext, facts: Facts) {
    this.context = context;
    this.facts = facts;
  }

  async all(actions: Action[]): Promise<void> {
    await Promise.all(actions.map((action) => this.attempt(() => this.one(action))));
  }

  /** Certificates come first: the logins carry the authority's. */
  async secrets(actions: Action[]): Promise<void> {
    const certificates = actions.find((action) => action.do === 'certificates');
    const own = decoded(this.facts.secrets.get(names(this.facts.cluster.metadata.name).ca), 'ca.crt');
    let authority = serverAuthority(this.facts, own);
    if (certificates)
      await this.attempt(async () => {
        const { cert } = await this.certificates(certificates);
        authority = serverAuthority(this.facts, cert);
      });
    const logins = actions.filter((action) => action.do === 'login');
    await Promise.all(logins.map(({ which }) => this.attempt(() => this.login(which, authority))));
  }

  private async attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (this.context.signal.aborted) return;
      this.failures.push({ message: error instanceof Error ? error.message : String(error), error });
    }
  }

  private async one(action: Action): Promise<void> {
    switch (action.do) {
      case 'ensure':
        return this.ensure(action.kind, action.object, action.current);
      case 'create':
        await this.create(action.kind, action.object);
        if (action.kind.kind === BackupKind.kind) this.context.memory.asked.add(action.object.metadata.name);
        return;
      case 'createInstance': {
        this.context.memory.highestSerial = Math.max(this.context.memory.highestSerial, action.serial);
        this.say('creating an instance', { instance: action.name });
        // Never a pod on a volume of somebody else: it would keep that alive, and start on foreign data.
        await Promise.all(action.claims.map((claim) => this.create(kinds.PersistentVolumeClaim, claim)));
        await this.create(kinds.Pod, action.pod);
        return;
      }
      case 'lease':
        return this.lease(action);
      case 'patch':
        return this.patch(action);
      case 'delete':
        return this.delete(action);
      default:
        return undefined;
    }
  }

  private say(message: string, fields: object): void {
    const { name, namespace } = this.facts.cluster.metadata;
    this.context.log.info({ cluster: `${namespace}/${name}`, ...fields }, message);
  }

  /** Creates; one of ours that is there already is as good, one of somebody else is in the way. */
  private async create<T extends KubeObject>(kind: Kind<T>, object: T): Promise<void> {
    const current = await this.createOrFind(kind, object);
    if (current) absorb(this.context.caches, await this.recognisable(kind, object, current));
  }

  /** One that lost the marks by which everybody finds it gets them back: without them its instance is nobody's. */
  private async recognisable<T extends KubeObject>(kind: Kind<T>, wanted: T, current: T): Promise<T> {
    const body = lostMarks(wanted, current);
    if (!body) return current;
    const { client, signal } = this.context;
    this.say(`giving ${kind.kind} ${wanted.metadata.name} its labels back`, {});
    return client.patch(kind, current.metadata, { type: 'merge', body, signal });
  }

  private async createOrFind<T extends KubeObject>(kind: Kind<T>, object: T): Promise<T | undefined> {
    const { client, signal, caches } = this.context;
    try {
      absorb(caches, await client.create(kind, object, { signal }));
      return undefined;
    } catch (error) {
      if (!isKubeError(error, 'AlreadyExists')) throw error;
      const current = await client.findListed(kind, object.metadata, { signal });
      // Gone meanwhile: the next look makes it.
      if (!current)
        throw new OperatorError('stale', `creating ${kind.kind} ${object.metadata.name}`, { cause: error });
      if (isOwned(current, this.facts.cluster)) return current;
      throw new OperatorError('foreign', `${kind.kind} ${object.metadata.name}`, { cause: error });
    }
  }

  private async ensure<T extends KubeObject>(kind: Kind<T>, object: T, known: T | undefined): Promise<void> {
    const { client, signal, caches } = this.context;
    const current = known ?? (await this.createOrFind(kind, object));
    if (!current) return;
    const exact =
      kind.kind === 'Service' && 'selector' in (object as { spec?: object }).spec! ? ['spec.selector'] : [];
    const ensured = await ensureObject(client, kind, object, current, { signal, exact, listed: true });
    absorb(caches, ensured.object);
  }

  private async patch({ kind, name, body, why }: Extract<Action, { do: 'patch' }>): Promise<void> {
    const { client, signal, caches } = this.context;
    const { namespace } = this.facts.cluster.metadata;
    this.say(`changing ${kind.kind} ${name}`, { why });
    try {
      absorb(caches, await client.patch(kind, { namespace, name }, { type: 'merge', body, signal }));
    } catch (error) {
      if (!isKubeError(error, 'NotFound')) throw error;
    }
  }

  /** By compare-and-swap: whoever leads meanwhile wins. */
  private async lease({ record, version, why }: Extract<Action, { do: 'lease' }>): Promise<void> {
    const { client, signal } = this.context;
    const { name, namespace } = this.facts.cluster.metadata;
    const lease = await client.get(kinds.Lease, { namespace, name: names(name).lease }, { signal });
    this.say('beginning the Lease anew', { why, epoch: record.epoch });
    const metadata = { ...lease.metadata, resourceVersion: version };
    await client.update(kinds.Lease, writeLease({ ...lease, metadata } as LeaseObject, record) as Lease, {
      signal,
    });
  }

  private async delete({ kind, name, uid, why }: Extract<Action, { do: 'delete' }>): Promise<void> {
    const { client, signal, memory } = this.context;
    const { namespace } = this.facts.cluster.metadata;
    this.say(`deleting ${kind.kind} ${name}`, { why });
    try {
      await client.delete(kind, { namespace, name }, { preconditions: { uid }, signal });
    } catch (error) {
      // Gone, or another of the same name by now: not the one that was meant.
      if (!isKubeError(error, 'NotFound', 'Conflict')) throw error;
    }
    memory.deleted.add(uid);
  }

  private async certificates({
    authority: how,
    leaves,
    trust = [],
    forget = [],
  }: Extract<Action, { do: 'certificates' }>): Promise<KeyPair> {
    const own = names(this.facts.cluster.metadata.name);
    const span = { now: new Date(this.facts.now), days: VALID_DAYS };
    const current = authorityOf(this.facts.secrets.get(own.ca));
    let authority = current;
    if (how === 'new' || (how === 'renew' && !current))
      authority = await createAuthority({ commonName: own.ca, ...span });
    else if (how === 'renew' && current) authority = await renewAuthority(current, span);
    if (!authority)
      throw new OperatorError('pki', `signing certificates: the secret ${own.ca} lacks ca.crt or ca.key`, {
        hint: 'complete it, or delete it to have one made',
      });
    const { cert, key } = authority;
    const sign = async (which: LeafName) => {
      const source = leafSource(this.facts, which, { cert, key });
      if (!source) return [];
      const known = this.facts.secrets.get(own[which]);
      const wanted = forget.includes(which)
        ? source.trust
        : withFormer(source.trust, decoded(known, 'ca.crt'));
      if (!leaves.includes(which)) return [{ which, data: { 'ca.crt': wanted } }];
      const leaf = source.given ?? (source.signer && (await this.signed(which, source.signer, span)));
      return leaf ? [{ which, data: { 'tls.crt': leaf.cert, 'tls.key': leaf.key, 'ca.crt': wanted } }] : [];
    };
    const changed = { [ANNOTATION_CHANGED]: new Date(this.facts.now).toISOString() };
    // The authority is saved before anything that it signed: a leaf of one that nobody knows shuts peers out.
    const [signed] = await Promise.all([
      Promise.all([...leaves, ...trust, ...forget].map(sign)),
      how === 'keep' ? undefined : this.saveSecret(own.ca, 'Opaque', { 'ca.crt': cert, 'ca.key': key }),
    ]);
    await Promise.all(
      signed.flat().map(({ which, data }) => this.saveSecret(own[which], 'kubernetes.io/tls', data, changed)),
    );
    return authority;
  }

  private signed(which: LeafName, signer: KeyPair, span: Span): Promise<KeyPair> {
    const usage = LEAF_USAGE[which];
    const { commonName = '', dnsNames } = leafCheck(which, this.facts);
    return createLeaf(signer, { commonName, dnsNames, usage, ...span });
  }

  private async login(which: 'app' | 'superuser', authority: string | undefined): Promise<void> {
    const desired = desiredLogin(this.facts, which, () => randomBytes(24).toString('base64url'), authority);
    if (desired) await this.saveSecret(desired.name, 'kubernetes.io/basic-auth', desired.data);
  }

  private async saveSecret(
    name: string,
    type: string,
    data: Record<string, string>,
    annotations?: Record<string, string>,
  ): Promise<void> {
    const current = this.facts.secrets.get(name);
    const object = secret(this.facts, name, type, data, annotations);
    this.say(`writing Secret ${name}`, {});
    if (current) {
      // What a user added to a login stays; the type of a secret can never change.
      const data = { ...current.data, ...object.data };
      return this.ensure(kinds.Secret, { ...object, type: current.type, data }, current);
    }
    const known = await this.createOrFind(kinds.Secret, object);
    if (!known) return;
    absorb(this.context.caches, known);
    throw new OperatorError('stale', `writing Secret ${name}: it has just been made`, {
      hint: 'nothing to do: it is looked at again',
    });
  }
}
