/** The defaults that a Kubernetes API server writes into built-in kinds. Objects given here are changed in place. */
import { isObject, type KubeObject, type Obj, objectAt, objectsAt } from './types.ts';

function fill(target: Obj, defaults: Obj): void {
  for (const [key, value] of Object.entries(defaults)) {
    if (target[key] === undefined || target[key] === null) target[key] = value;
  }
}

function child(parent: Obj, key: string): Obj {
  if (!isObject(parent[key])) parent[key] = {};
  return parent[key] as Obj;
}

function pullPolicy(image: unknown): string {
  if (typeof image !== 'string') return 'IfNotPresent';
  if (image.includes('@')) return 'IfNotPresent';
  const lastPart = image.slice(image.lastIndexOf('/') + 1);
  return !lastPart.includes(':') || lastPart.endsWith(':latest') ? 'Always' : 'IfNotPresent';
}

function probe(value: unknown): void {
  if (!isObject(value)) return;
  fill(value, { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 });
  httpAction(value);
}

function httpAction(handler: Obj): void {
  if (isObject(handler.httpGet)) fill(handler.httpGet, { path: '/', scheme: 'HTTP' });
  if (isObject(handler.grpc)) fill(handler.grpc, { service: '' });
}

function containerResources(container: Obj): void {
  const resources = child(container, 'resources');
  const limits = resources.limits;
  if (!isObject(limits)) return;
  // A limit without a request is also the request.
  fill(child(resources, 'requests'), limits);
}

function container(value: Obj): void {
  fill(value, {
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: pullPolicy(value.image),
  });
  containerResources(value);
  for (const port of objectsAt(value, 'ports')) fill(port, { protocol: 'TCP' });
  for (const env of objectsAt(value, 'env')) {
    const ref = objectAt(env, 'valueFrom').fieldRef;
    if (isObject(ref)) fill(ref, { apiVersion: 'v1' });
  }
  for (const key of ['livenessProbe', 'readinessProbe', 'startupProbe']) probe(value[key]);
  for (const key of ['postStart', 'preStop']) httpAction(objectAt(value, 'lifecycle', key));
}

function volume(value: Obj): void {
  const sources = Object.keys(value).filter((key) => key !== 'name');
  if (sources.length === 0) value.emptyDir = {};
  for (const key of ['secret', 'configMap', 'downwardAPI', 'projected']) {
    const source = value[key];
    if (!isObject(source)) continue;
    fill(source, { defaultMode: 420 });
    downwardItems(source);
    for (const part of objectsAt(source, 'sources')) {
      if (isObject(part.serviceAccountToken)) fill(part.serviceAccountToken, { expirationSeconds: 3600 });
      if (isObject(part.downwardAPI)) downwardItems(part.downwardAPI);
    }
  }
  if (isObject(value.hostPath)) fill(value.hostPath, { type: '' });
}

function downwardItems(source: Obj): void {
  for (const item of objectsAt(source, 'items'))
    if (isObject(item.fieldRef)) fill(item.fieldRef, { apiVersion: 'v1' });
}

/** Defaults of a pod's spec; also used inside templates. */
function podSpecDefaults(spec: Obj): void {
  fill(spec, {
    restartPolicy: 'Always',
    dnsPolicy: 'ClusterFirst',
    terminationGracePeriodSeconds: 30,
    schedulerName: 'default-scheduler',
    securityContext: {},
  });
  if (typeof spec.serviceAccountName === 'string') spec.serviceAccount = spec.serviceAccountName;
  else if (typeof spec.serviceAccount === 'string') spec.serviceAccountName = spec.serviceAccount;
  for (const key of ['initContainers', 'containers', 'ephemeralContainers'])
    objectsAt(spec, key).forEach(container);
  objectsAt(spec, 'volumes').forEach(volume);
  for (const constraint of objectsAt(spec, 'topologySpreadConstraints')) {
    fill(constraint, { whenUnsatisfiable: 'DoNotSchedule' });
  }
}

function template(spec: Obj): void {
  const podTemplate = child(spec, 'template');
  const metadata = child(podTemplate, 'metadata');
  if (metadata.creationTimestamp === undefined) metadata.creationTimestamp = null;
  podSpecDefaults(child(podTemplate, 'spec'));
}

function selectorFromTemplate(spec: Obj): void {
  if (spec.selector === undefined) {
    const labels = objectAt(spec, 'template', 'metadata', 'labels');
    if (Object.keys(labels).length) spec.selector = { matchLabels: labels };
  }
}

function qosClass(spec: Obj): string {
  const containers = [...objectsAt(spec, 'containers'), ...objectsAt(spec, 'initContainers')];
  const sets = containers.flatMap((one) => [
    objectAt(one, 'resources', 'requests'),
    objectAt(one, 'resources', 'limits'),
  ]);
  if (sets.every((set) => set.cpu === undefined && set.memory === undefined)) return 'BestEffort';
  const guaranteed = containers.every((one) => {
    const limits = objectAt(one, 'resources', 'limits');
    const requests = objectAt(one, 'resources', 'requests');
    return ['cpu', 'memory'].every((name) => limits[name] !== undefined && limits[name] === requests[name]);
  });
  return guaranteed ? 'Guaranteed' : 'Burstable';
}

function pod(object: KubeObject): void {
  const spec = child(object, 'spec');
  fill(spec, { enableServiceLinks: true });
  podSpecDefaults(spec);
  const status = child(object, 'status');
  fill(status, { phase: 'Pending', qosClass: qosClass(spec) });
}

function service(object: KubeObject): void {
  const spec = child(object, 'spec');
  fill(spec, { sessionAffinity: 'None', type: 'ClusterIP' });
  if (spec.type !== 'ExternalName') {
    fill(spec, { internalTrafficPolicy: 'Cluster', ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack' });
  }
  if (spec.type === 'NodePort' || spec.type === 'LoadBalancer')
    fill(spec, { externalTrafficPolicy: 'Cluster' });
  if (spec.type === 'LoadBalancer') fill(spec, { allocateLoadBalancerNodePorts: true });
  for (const port of objectsAt(spec, 'ports')) {
    fill(port, { protocol: 'TCP' });
    if (port.targetPort === undefined) port.targetPort = port.port;
  }
  fill(child(object, 'status'), { loadBalancer: {} });
}

function deployment(object: KubeObject): void {
  const spec = child(object, 'spec');
  fill(spec, { replicas: 1, revisionHistoryLimit: 10, progressDeadlineSeconds: 600 });
  const strategy = child(spec, 'strategy');
  fill(strategy, { type: 'RollingUpdate' });
  if (strategy.type === 'RollingUpdate')
    fill(child(strategy, 'rollingUpdate'), { maxUnavailable: '25%', maxSurge: '25%' });
  template(spec);
  fill(object, { status: {} });
}

function replicas(object: KubeObject): void {
  const spec = child(object, 'spec');
  fill(spec, { replicas: 1 });
  template(spec);
  selectorFromTemplate(spec);
  fill(object, { status: { replicas: 0 } });
}

function statefulSet(object: KubeObject): void {
  const spec = child(object, 'spec');
  fill(spec, { replicas: 1, podManagementPolicy: 'OrderedReady', revisionHistoryLimit: 10 });
  const strategy = child(spec, 'updateStrategy');
  fill(strategy, { type: 'RollingUpdate' });
  template(spec);
  fill(object, { status: { replicas: 0, availableReplicas: 0 } });
}

function daemonSet(object: KubeObject): void {
  const spec = child(object, 'spec');
  fill(spec, { revisionHistoryLimit: 10 });
  fill(child(spec, 'updateStrategy'), { type: 'RollingUpdate' });
  template(spec);
  fill(object, { status: {} });
}

function jobSpec(spec: Obj): void {
  fill(spec, {
    backoffLimit: 6,
    completionMode: 'NonIndexed',
    suspend: false,
    podReplacementPolicy: 'TerminatingOrFailed',
    manualSelector: false,
  });
  if (spec.parallelism === undefined && spec.completions === undefined)
    fill(spec, { completions: 1, parallelism: 1 });
  fill(spec, { parallelism: 1 });
  template(spec);
}

function job(object: KubeObject): void {
  const spec = child(object, 'spec');
  jobSpec(spec);
  if (!isObject(spec.selector) && spec.manualSelector !== true && object.metadata.uid) {
    // A job owns its pods by its own uid.
    const labels: Obj = {
      'batch.kubernetes.io/controller-uid': object.metadata.uid,
      'batch.kubernetes.io/job-name': object.metadata.name,
      'controller-uid': object.metadata.uid,
      'job-name': object.metadata.name,
    };
    Object.assign(child(child(child(spec, 'template'), 'metadata'), 'labels'), labels);
    spec.selector = { matchLabels: { 'batch.kubernetes.io/controller-uid': object.metadata.uid } };
  }
  fill(object, { status: {} });
}

function cronJob(object: KubeObject): void {
  const spec = child(object, 'spec');
  fill(spec, {
    concurrencyPolicy: 'Allow',
    suspend: false,
    successfulJobsHistoryLimit: 3,
    failedJobsHistoryLimit: 1,
  });
  template(child(child(spec, 'jobTemplate'), 'spec'));
  fill(object, { status: {} });
}

function claim(object: KubeObject): void {
  fill(child(object, 'spec'), { volumeMode: 'Filesystem' });
  fill(child(object, 'status'), { phase: 'Pending' });
}

function volumeObject(object: KubeObject): void {
  fill(child(object, 'spec'), { volumeMode: 'Filesystem', persistentVolumeReclaimPolicy: 'Retain' });
  fill(child(object, 'status'), { phase: 'Pending' });
}

function secret(object: KubeObject): void {
  fill(object, { type: 'Opaque' });
  const plain = object.stringData;
  if (isObject(plain)) {
    const data = child(object, 'data');
    for (const [key, value] of Object.entries(plain))
      data[key] = Buffer.from(String(value)).toString('base64');
  }
  delete object.stringData;
}

function namespace(object: KubeObject): void {
  object.metadata.labels = { ...object.metadata.labels, 'kubernetes.io/metadata.name': object.metadata.name };
  const spec = child(object, 'spec');
  if (!object.metadata.deletionTimestamp) fill(spec, { finalizers: ['kubernetes'] });
  fill(child(object, 'status'), { phase: 'Active' });
}

function roleBinding(object: KubeObject): void {
  fill(child(object, 'roleRef'), { apiGroup: 'rbac.authorization.k8s.io' });
  for (const subject of objectsAt(object, 'subjects')) {
    if (subject.kind === 'ServiceAccount') continue;
    fill(subject, { apiGroup: 'rbac.authorization.k8s.io' });
  }
}

function storageClass(object: KubeObject): void {
  fill(object, { reclaimPolicy: 'Delete', volumeBindingMode: 'Immediate' });
}

function endpointSlice(object: KubeObject): void {
  for (const port of objectsAt(object, 'ports')) fill(port, { name: '', protocol: 'TCP' });
}

function node(object: KubeObject): void {
  child(object, 'spec');
  child(object, 'status');
}

const DEFAULTS: Record<string, (object: KubeObject) => void> = {
  pods: pod,
  services: service,
  'deployments.apps': deployment,
  'replicasets.apps': replicas,
  'statefulsets.apps': statefulSet,
  'daemonsets.apps': daemonSet,
  'jobs.batch': job,
  'cronjobs.batch': cronJob,
  persistentvolumeclaims: claim,
  persistentvolumes: volumeObject,
  secrets: secret,
  namespaces: namespace,
  nodes: node,
  'rolebindings.rbac.authorization.k8s.io': roleBinding,
  'clusterrolebindings.rbac.authorization.k8s.io': roleBinding,
  'storageclasses.storage.k8s.io': storageClass,
  'endpointslices.discovery.k8s.io': endpointSlice,
};

/** Fills in the defaults of a built-in kind; other kinds stay as they are. */
export function applyDefaults(storage: string, object: KubeObject): void {
  DEFAULTS[storage]?.(object);
}
