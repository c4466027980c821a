/** What an API server adds to, or refuses in, built-in kinds beyond plain defaults and validation. */
import { randomInt } from 'node:crypto';
import type { ClusterIps } from './cluster-ips.ts';
import type { WriteContext } from './context.ts';
import type { CrdManager } from './crd/definitions.ts';
import { generatedName } from './names.ts';
import { levelOf, podSecurityViolations } from './pod-security.ts';
import { quotaRefusal, quotaStatus } from './quota.ts';
import { type Authorizer, type Rule, rulesOf } from './rbac.ts';
import { ApiError, badRequest, forbidden, invalid, invalidValue, notFound } from './status.ts';
import type { Store } from './store.ts';
import { clone, type KubeObject, type Obj, objectAt, objectsAt, same, stringAt } from './types.ts';

const TOKEN_PATH = '/var/run/secrets/kubernetes.io/serviceaccount';

export class Admission {
  readonly #store: Store;
  readonly #authorizer: Authorizer;
  readonly #ips: ClusterIps;
  readonly #crds: CrdManager;

  constructor(store: Store, authorizer: Authorizer, ips: ClusterIps, crds: CrdManager) {
    this.#store = store;
    this.#authorizer = authorizer;
    this.#ips = ips;
    this.#crds = crds;
  }

  /** May change a new object in place; throws to refuse it. */
  create(context: WriteContext, object: KubeObject): void {
    this.#shape(context, object);
    const refusal = context.resource.namespaced && quotaRefusal(this.#store, context.resource, object);
    if (refusal) throw forbidden(context.resource, object.metadata.name, refusal);
  }

  #shape(context: WriteContext, object: KubeObject): void {
    switch (context.resource.storage) {
      case 'pods':
        this.#pod(context, object);
        break;
      case 'persistentvolumeclaims':
        this.#claim(object);
        break;
      case 'secrets':
        mustBeBase64(object);
        break;
      case 'resourcequotas':
        object.status = quotaStatus(object);
        break;
      case 'customresourcedefinitions.apiextensions.k8s.io':
        this.#crds.prepare(object, undefined);
        break;
      default:
        this.#noEscalation(context, object, undefined);
    }
  }

  /** The same for an update. */
  update(context: WriteContext, object: KubeObject, old: KubeObject): void {
    if (context.resource.storage === 'services') keepAllocated(object, old);
    else if (context.resource.storage === 'secrets') mustBeBase64(object);
    else if (context.resource.storage === 'customresourcedefinitions.apiextensions.k8s.io')
      this.#crds.prepare(object, old);
    else this.#noEscalation(context, object, old);
  }

  delete(context: WriteContext, old: KubeObject): void {
    const name = old.metadata.name;
    if (context.resource.storage === 'namespaces' && (name === 'default' || name === 'kube-system')) {
      throw forbidden(context.resource, name, 'this namespace may not be deleted');
    }
  }

  /** Takes what the object needs from shared pools; called once all checks passed and the write is real. */
  reserve(context: WriteContext, object: KubeObject, old: KubeObject | undefined): void {
    if (context.resource.storage === 'services') this.#ips.assign(object, old);
  }

  /** Called after an object has left the store. */
  released(context: WriteContext, object: KubeObject): void {
    if (context.resource.storage === 'services') this.#ips.release(object);
  }

  #pod(context: WriteContext, pod: KubeObject): void {
    const spec = objectAt(pod, 'spec');
    spec.serviceAccountName ??= 'default';
    spec.serviceAccount = spec.serviceAccountName;
    spec.priority ??= 0;
    spec.preemptionPolicy ??= 'PreemptLowerPriority';
    spec.tolerations = withDefaultTolerations(objectsAt(spec, 'tolerations'));
    const name = String(spec.serviceAccountName);
    const account = this.#store.get('serviceaccounts', pod.metadata.namespace, name);
    if (!account) {
      throw forbidden(
        context.resource,
        pod.metadata.name,
        `error looking up service account ${pod.metadata.namespace}/${name}: serviceaccount ${JSON.stringify(name)} not found`,
      );
    }
    this.#podSecurity(context, pod);
    const wants = spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true;
    if (wants) mountToken(spec);
  }

  #podSecurity(context: WriteContext, pod: KubeObject): void {
    const labels = this.#store.get('namespaces', undefined, pod.metadata.namespace ?? '')?.metadata.labels;
    const level = levelOf(labels);
    const violations = podSecurityViolations(objectAt(pod, 'spec'), level);
    if (violations.length > 0)
      throw forbidden(
        context.resource,
        pod.metadata.name,
        `violates PodSecurity "${level}:latest": ${violations.join(', ')}`,
      );
  }

  #claim(claim: KubeObject): void {
    const spec = objectAt(claim, 'spec');
    if (spec.storageClassName !== undefined || spec.volumeName) return;
    const standard = this.#store
      .list('storageclasses.storage.k8s.io')
      .find((one) => one.metadata.annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true');
    if (standard) spec.storageClassName = standard.metadata.name;
  }

  /** What a role that is not there would grant cannot be compared with what its giver holds. */
  #roleMustExist(ref: Obj, plural: string, namespace: string | undefined): void {
    const name = stringAt(ref, 'name') ?? '';
    const group = 'rbac.authorization.k8s.io';
    const place = plural === 'roles' ? namespace : undefined;
    if (!this.#store.get(`${plural}.${group}`, place, name))
      throw notFound({ group, plural, kind: String(ref.kind) }, name);
  }

  /** Nobody grants what he does not hold. */
  #noEscalation(context: WriteContext, object: KubeObject, old: KubeObject | undefined): void {
    const { resource, user } = context;
    if (resource.group !== 'rbac.authorization.k8s.io') return;
    const isBinding = resource.plural.endsWith('bindings');
    const before = isBinding ? [old?.roleRef, old?.subjects] : [old?.rules];
    const after = isBinding ? [object.roleRef, object.subjects] : [object.rules];
    if (old && same(before, after)) return;
    const namespace = object.metadata.namespace;
    const verb = isBinding ? 'bind' : 'escalate';
    const ref = objectAt(object, 'roleRef');
    const target = isBinding ? (ref.kind === 'Role' ? 'roles' : 'clusterroles') : resource.plural;
    const name = isBinding ? stringAt(ref, 'name') : object.metadata.name;
    if (this.#authorizer.allows({ user, verb, group: resource.group, resource: target, namespace, name }))
      return;
    if (isBinding) this.#roleMustExist(ref, target, namespace);
    const wanted = isBinding ? this.#authorizer.rulesOfRef(ref, namespace) : rulesOf(object);
    const missing = this.#authorizer.escalation(user, namespace, wanted);
    if (missing.length === 0) return;
    throw forbidden(
      resource,
      object.metadata.name,
      `user ${JSON.stringify(user.name)} (groups=${JSON.stringify(user.groups)}) is attempting to grant RBAC permissions not currently held:\n${missing.map(ruleText).join('\n')}`,
    );
  }
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Values of a secret are bytes, which JSON carries as base64. */
function mustBeBase64(secret: KubeObject): void {
  for (const value of Object.values(objectAt(secret, 'data')))
    if (typeof value === 'string' && !BASE64.test(value.replaceAll(/[\r\n]/g, '')))
      throw badRequest('Secret in version "v1" cannot be handled as a Secret: illegal base64 data');
}

function ruleText(rule: Rule): string {
  const parts: string[] = [];
  if (rule.apiGroups.length) parts.push(`APIGroups:${JSON.stringify(rule.apiGroups)}`);
  if (rule.resources.length) parts.push(`Resources:${JSON.stringify(rule.resources)}`);
  if (rule.resourceNames.length) parts.push(`ResourceNames:${JSON.stringify(rule.resourceNames)}`);
  if (rule.nonResourceURLs.length) parts.push(`NonResourceURLs:${JSON.stringify(rule.nonResourceURLs)}`);
  parts.push(`Verbs:${JSON.stringify(rule.verbs)}`);
  return `{${parts.join(', ')}}`;
}

/** Pods stay for five minutes on a node that went away, unless they say otherwise. */
function withDefaultTolerations(tolerations: Obj[]): Obj[] {
  const result = [...tolerations];
  for (const key of ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']) {
    const tolerated = tolerations.some(
      (one) =>
        (one.key === key || one.key === undefined) &&
        (one.effect === undefined || one.effect === 'NoExecute'),
    );
    if (!tolerated) result.push({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 });
  }
  return result;
}

function mountToken(spec: Obj): void {
  const containers = [...objectsAt(spec, 'initContainers'), ...objectsAt(spec, 'containers')];
  const without = containers.filter(
    (one) => !objectsAt(one, 'volumeMounts').some((mount) => mount.mountPath === TOKEN_PATH),
  );
  if (without.length === 0) return;
  const name = generatedName('kube-api-access-', randomInt);
  for (const container of without) {
    container.volumeMounts = [
      ...objectsAt(container, 'volumeMounts'),
      { name, readOnly: true, mountPath: TOKEN_PATH },
    ];
  }
  spec.volumes = [
    ...objectsAt(spec, 'volumes'),
    {
      name,
      projected: {
        defaultMode: 420,
        sources: [
          { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
          { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
          {
            downwardAPI: {
              items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
            },
          },
        ],
      },
    },
  ];
}

/** An update that leaves out the allocated address keeps it. */
function keepAllocated(object: KubeObject, old: KubeObject): void {
  const spec = objectAt(object, 'spec');
  const before = objectAt(old, 'spec');
  if (spec.type === 'ExternalName') return;
  if (spec.clusterIP === undefined || spec.clusterIP === '') spec.clusterIP = before.clusterIP;
  if (spec.clusterIPs === undefined) spec.clusterIPs = clone(before.clusterIPs);
  if (before.clusterIP && before.type !== 'ExternalName' && spec.clusterIP !== before.clusterIP) {
    throw invalid({ group: '', plural: 'services', kind: 'Service' }, object.metadata.name, [
      invalidValue('spec.clusterIPs[0]', [spec.clusterIP], 'may not change once set'),
    ]);
  }
  for (const [index, port] of objectsAt(spec, 'ports').entries()) {
    const was =
      objectsAt(before, 'ports').find((one) => one.name === port.name && one.port === port.port) ??
      objectsAt(before, 'ports')[index];
    if (port.nodePort === undefined && was?.nodePort !== undefined && spec.type !== 'ClusterIP')
      port.nodePort = was.nodePort;
  }
}

/** An error for a request that nothing can satisfy, such as an exhausted range. */
function _exhausted(message: string): ApiError {
  return new ApiError(500, 'InternalError', message);
}
