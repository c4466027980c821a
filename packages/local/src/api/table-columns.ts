/** The columns of built-in kinds after Name (and before Age, which is added where it is missing). */
import { age, humanDuration } from './duration.ts';
import { selectorText } from './selectors.ts';
import type { Column } from './table.ts';
import { at, type KubeObject, type Obj, objectAt, objectsAt } from './types.ts';

type Cell = Column['cell'];

function text(name: string, cell: Cell, wide = false): Column {
  return { name, type: 'string', priority: wide ? 1 : 0, cell };
}

function whole(name: string, cell: Cell): Column {
  return { name, type: 'integer', cell };
}

const created: Column = {
  name: 'Created At',
  type: 'date',
  cell: (object) => object.metadata.creationTimestamp,
};
const ageColumn = text('Age', (object, nowMs) => age(object.metadata.creationTimestamp, nowMs));

function field(...path: string[]): Cell {
  return (object) => at(object, ...path);
}

function orNone(cell: Cell): Cell {
  return (object, nowMs) => {
    const value = cell(object, nowMs);
    return value === undefined || value === null || value === '' ? '<none>' : value;
  };
}

function number(...path: string[]): Cell {
  return (object) => Number(at(object, ...path) ?? 0);
}

function containersOf(object: KubeObject): Obj[] {
  return objectsAt(object, 'spec', 'template', 'spec', 'containers');
}

const templateColumns = [
  text(
    'Containers',
    (object) =>
      containersOf(object)
        .map((one) => one.name)
        .join(','),
    true,
  ),
  text(
    'Images',
    (object) =>
      containersOf(object)
        .map((one) => one.image)
        .join(','),
    true,
  ),
  text('Selector', (object) => selectorText(at(object, 'spec', 'selector')), true),
];

// Pods

function podStatus(pod: KubeObject): string {
  const statuses = objectsAt(pod, 'status', 'containerStatuses');
  let reason = String(at(pod, 'status', 'reason') ?? at(pod, 'status', 'phase') ?? '');
  const initReason = initStatus(pod);
  if (initReason) reason = initReason;
  else {
    for (const status of [...statuses].reverse()) reason = containerReason(status) ?? reason;
    if (reason === 'Completed' && statuses.some((status) => status.ready && at(status, 'state', 'running'))) {
      reason = objectsAt(pod, 'status', 'conditions').some(
        (one) => one.type === 'Ready' && one.status === 'True',
      )
        ? 'Running'
        : 'NotReady';
    }
  }
  if (!pod.metadata.deletionTimestamp) return reason;
  return at(pod, 'status', 'reason') === 'NodeLost' ? 'Unknown' : 'Terminating';
}

function containerReason(status: Obj): string | undefined {
  const waiting = objectAt(status, 'state', 'waiting');
  if (waiting.reason) return String(waiting.reason);
  const terminated = at(status, 'state', 'terminated');
  if (terminated === undefined) return undefined;
  const { reason, signal, exitCode } = terminated as Obj;
  return reason ? String(reason) : signal ? `Signal:${signal}` : `ExitCode:${exitCode}`;
}

function initStatus(pod: KubeObject): string | undefined {
  const statuses = objectsAt(pod, 'status', 'initContainerStatuses');
  const specs = objectsAt(pod, 'spec', 'initContainers');
  for (const [index, status] of statuses.entries()) {
    const terminated = objectAt(status, 'state', 'terminated');
    const isSidecar = specs.find((one) => one.name === status.name)?.restartPolicy === 'Always';
    if (terminated.exitCode === 0 || (isSidecar && status.started === true)) continue;
    if (terminated.exitCode !== undefined) return `Init:${containerReason(status)}`;
    const waiting = objectAt(status, 'state', 'waiting').reason;
    return waiting && waiting !== 'PodInitializing' ? `Init:${waiting}` : `Init:${index}/${specs.length}`;
  }
  return undefined;
}

function podRestarts(pod: KubeObject, nowMs: number): string {
  let restarts = 0;
  let last = 0;
  for (const status of lastingStatuses(pod)) {
    restarts += Number(status.restartCount ?? 0);
    const finished = Date.parse(String(objectAt(status, 'lastState', 'terminated').finishedAt ?? ''));
    if (finished > last) last = finished;
  }
  return restarts > 0 && last > 0 ? `${restarts} (${humanDuration(nowMs - last)} ago)` : String(restarts);
}

/** Names of the init containers that stay. */
function sidecars(pod: KubeObject): unknown[] {
  return objectsAt(pod, 'spec', 'initContainers')
    .filter(({ restartPolicy }) => restartPolicy === 'Always')
    .map(({ name }) => name);
}

/** The statuses of what runs as long as the pod does. */
function lastingStatuses(pod: KubeObject): Obj[] {
  const stay = sidecars(pod);
  return [
    ...objectsAt(pod, 'status', 'initContainerStatuses').filter(({ name }) => stay.includes(name)),
    ...objectsAt(pod, 'status', 'containerStatuses'),
  ];
}

function podReady(pod: KubeObject): string {
  const ready = lastingStatuses(pod).filter((status) => status.ready === true).length;
  return `${ready}/${objectsAt(pod, 'spec', 'containers').length + sidecars(pod).length}`;
}

function gates(pod: KubeObject): string {
  const wanted = objectsAt(pod, 'spec', 'readinessGates');
  if (wanted.length === 0) return '<none>';
  const conditions = objectsAt(pod, 'status', 'conditions');
  const met = wanted.filter((gate) =>
    conditions.some((one) => one.type === gate.conditionType && one.status === 'True'),
  );
  return `${met.length}/${wanted.length}`;
}

const POD: Column[] = [
  text('Ready', podReady),
  text('Status', podStatus),
  text('Restarts', podRestarts),
  ageColumn,
  text('IP', orNone(field('status', 'podIP')), true),
  text('Node', orNone(field('spec', 'nodeName')), true),
  text('Nominated Node', orNone(field('status', 'nominatedNodeName')), true),
  text('Readiness Gates', gates, true),
];

// Services

function ports(service: KubeObject): string {
  const list = objectsAt(service, 'spec', 'ports').map((port) =>
    port.nodePort ? `${port.port}:${port.nodePort}/${port.protocol}` : `${port.port}/${port.protocol}`,
  );
  return list.length ? list.join(',') : '<none>';
}

function externalIp(service: KubeObject): string {
  const type = at(service, 'spec', 'type');
  if (type === 'ExternalName') return String(at(service, 'spec', 'externalName') ?? '<none>');
  if (type === 'LoadBalancer') {
    const ingress = objectsAt(service, 'status', 'loadBalancer', 'ingress').map(
      (one) => one.ip ?? one.hostname,
    );
    return ingress.length ? ingress.join(',') : '<pending>';
  }
  return '<none>';
}

const SERVICE: Column[] = [
  text('Type', field('spec', 'type')),
  text('Cluster-IP', orNone(field('spec', 'clusterIP'))),
  text('External-IP', externalIp),
  text('Port(s)', ports),
  ageColumn,
  text(
    'Selector',
    orNone((object) =>
      Object.entries(objectAt(object, 'spec', 'selector'))
        .map(([key, value]) => `${key}=${value}`)
        .join(','),
    ),
    true,
  ),
];

// Nodes

function nodeStatus(node: KubeObject): string {
  const ready = objectsAt(node, 'status', 'conditions').find((one) => one.type === 'Ready');
  const word = !ready ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady';
  return at(node, 'spec', 'unschedulable') === true ? `${word},SchedulingDisabled` : word;
}

function nodeRoles(node: KubeObject): string {
  const prefix = 'node-role.kubernetes.io/';
  const roles = Object.keys(node.metadata.labels ?? {})
    .filter((key) => key.startsWith(prefix))
    .map((key) => key.slice(prefix.length));
  return roles.length ? roles.sort().join(',') : '<none>';
}

function nodeAddress(type: string): Cell {
  return orNone((node) => objectsAt(node, 'status', 'addresses').find((one) => one.type === type)?.address);
}

const NODE: Column[] = [
  text('Status', nodeStatus),
  text('Roles', nodeRoles),
  ageColumn,
  text('Version', orNone(field('status', 'nodeInfo', 'kubeletVersion'))),
  text('Internal-IP', nodeAddress('InternalIP'), true),
  text('External-IP', nodeAddress('ExternalIP'), true),
  text('OS-Image', orNone(field('status', 'nodeInfo', 'osImage')), true),
  text('Kernel-Version', orNone(field('status', 'nodeInfo', 'kernelVersion')), true),
  text('Container-Runtime', orNone(field('status', 'nodeInfo', 'containerRuntimeVersion')), true),
];

// Storage

const MODES: Record<string, string> = {
  ReadWriteOnce: 'RWO',
  ReadOnlyMany: 'ROX',
  ReadWriteMany: 'RWX',
  ReadWriteOncePod: 'RWOP',
};

function modes(list: unknown): string {
  return Array.isArray(list) ? list.map((mode) => MODES[String(mode)] ?? String(mode)).join(',') : '';
}

function claimPhase(claim: KubeObject): string {
  return claim.metadata.deletionTimestamp ? 'Terminating' : String(at(claim, 'status', 'phase') ?? '');
}

const CLAIM: Column[] = [
  text('Status', claimPhase),
  text('Volume', (object) => at(object, 'spec', 'volumeName') ?? ''),
  text('Capacity', (object) => at(object, 'status', 'capacity', 'storage') ?? ''),
  text('Access Modes', (object) => modes(at(object, 'status', 'accessModes'))),
  text('StorageClass', (object) => at(object, 'spec', 'storageClassName') ?? ''),
  text('VolumeAttributesClass', () => '<unset>'),
  ageColumn,
  text('VolumeMode', field('spec', 'volumeMode'), true),
];

const VOLUME: Column[] = [
  text('Capacity', (object) => at(object, 'spec', 'capacity', 'storage') ?? ''),
  text('Access Modes', (object) => modes(at(object, 'spec', 'accessModes'))),
  text('Reclaim Policy', field('spec', 'persistentVolumeReclaimPolicy')),
  text('Status', claimPhase),
  text('Claim', (object) => {
    const ref = objectAt(object, 'spec', 'claimRef');
    return ref.name ? `${ref.namespace}/${ref.name}` : '';
  }),
  text('StorageClass', (object) => at(object, 'spec', 'storageClassName') ?? ''),
  text('VolumeAttributesClass', () => '<unset>'),
  text('Reason', (object) => at(object, 'status', 'reason') ?? ''),
  ageColumn,
  text('VolumeMode', field('spec', 'volumeMode'), true),
];

// Workloads

function budget(key: string): Cell {
  return (object) => {
    const value = at(object, 'spec', key);
    return value === undefined || value === null ? 'N/A' : String(value);
  };
}

function jobStatus(job: KubeObject): string {
  const conditions = objectsAt(job, 'status', 'conditions')
    .filter((one) => one.status === 'True')
    .map((one) => one.type);
  for (const word of ['Complete', 'Failed', 'Suspended']) if (conditions.includes(word)) return word;
  if (job.metadata.deletionTimestamp) return 'Terminating';
  if (conditions.includes('FailureTarget')) return 'FailureTarget';
  return conditions.includes('SuccessCriteriaMet') ? 'SuccessCriteriaMet' : 'Running';
}

function jobDuration(job: KubeObject, nowMs: number): string {
  const start = Date.parse(String(at(job, 'status', 'startTime') ?? ''));
  if (Number.isNaN(start)) return '';
  const end = Date.parse(String(at(job, 'status', 'completionTime') ?? ''));
  return humanDuration((Number.isNaN(end) ? nowMs : end) - start);
}

function jobCompletions(job: KubeObject): string {
  const done = Number(at(job, 'status', 'succeeded') ?? 0);
  return `${done}/${at(job, 'spec', 'completions') ?? `1 of ${at(job, 'spec', 'parallelism') ?? 1}`}`;
}

function since(time: unknown, nowMs: number): string {
  return time === undefined || time === null ? '<none>' : age(time, nowMs);
}

// Events

function eventSource(event: KubeObject): string {
  return (
    [at(event, 'source', 'component'), at(event, 'source', 'host')].filter(Boolean).join(', ') ||
    String(event.reportingComponent ?? '')
  );
}

function eventObject(event: KubeObject): string {
  const { kind, name } = objectAt(event, 'involvedObject');
  return `${String(kind ?? '').toLowerCase()}/${name}`;
}

const EVENT: Column[] = [
  text('Last Seen', (event, nowMs) =>
    since(
      at(event, 'series', 'lastObservedTime') ??
        event.lastTimestamp ??
        event.eventTime ??
        event.metadata.creationTimestamp,
      nowMs,
    ),
  ),
  text('Type', field('type')),
  text('Reason', field('reason')),
  text('Object', eventObject),
  text('Subobject', (event) => at(event, 'involvedObject', 'fieldPath') ?? '', true),
  text('Source', eventSource, true),
  text('Message', (event) => String(event.message ?? '').trim()),
  text('First Seen', (event, nowMs) => since(event.firstTimestamp ?? event.eventTime, nowMs), true),
  { name: 'Count', type: 'integer', priority: 1, cell: (event) => Number(event.count ?? 1) },
  { name: 'Name', type: 'string', format: 'name', priority: 1, cell: (event) => event.metadata.name },
];

function subjects(kind: string): Cell {
  return (binding) =>
    objectsAt(binding, 'subjects')
      .filter((one) => one.kind === kind)
      .map((one) => (kind === 'ServiceAccount' ? `${one.namespace}/${one.name}` : one.name))
      .join(', ');
}

const BINDING: Column[] = [
  text('Role', (object) => `${at(object, 'roleRef', 'kind')}/${at(object, 'roleRef', 'name')}`),
  ageColumn,
  text('Users', subjects('User'), true),
  text('Groups', subjects('Group'), true),
  text('ServiceAccounts', subjects('ServiceAccount'), true),
];

function endpointText(object: KubeObject): string {
  const parts = objectsAt(object, 'subsets').flatMap((subset) => {
    const addresses = objectsAt(subset, 'addresses').map((one) => one.ip);
    const list = objectsAt(subset, 'ports').map((one) => one.port);
    return addresses.flatMap((ip) => (list.length ? list.map((port) => `${ip}:${port}`) : [String(ip)]));
  });
  return parts.length ? shorten(parts) : '<none>';
}

function shorten(parts: string[]): string {
  return parts.length > 3 ? `${parts.slice(0, 3).join(',')} + ${parts.length - 3} more...` : parts.join(',');
}

export const BUILTIN_COLUMNS: Record<string, Column[]> = {
  pods: POD,
  services: SERVICE,
  nodes: NODE,
  persistentvolumeclaims: CLAIM,
  persistentvolumes: VOLUME,
  namespaces: [text('Status', field('status', 'phase'))],
  configmaps: [
    whole(
      'Data',
      (object) =>
        Object.keys(objectAt(object, 'data')).length + Object.keys(objectAt(object, 'binaryData')).length,
    ),
  ],
  secrets: [
    text('Type', field('type')),
    whole('Data', (object) => Object.keys(objectAt(object, 'data')).length),
  ],
  serviceaccounts: [whole('Secrets', (object) => objectsAt(object, 'secrets').length)],
  endpoints: [text('Endpoints', endpointText)],
  events: EVENT,
  'deployments.apps': [
    text(
      'Ready',
      (object) => `${number('status', 'readyReplicas')(object, 0)}/${number('spec', 'replicas')(object, 0)}`,
    ),
    whole('Up-to-date', number('status', 'updatedReplicas')),
    whole('Available', number('status', 'availableReplicas')),
    ageColumn,
    ...templateColumns,
  ],
  'replicasets.apps': [
    whole('Desired', number('spec', 'replicas')),
    whole('Current', number('status', 'replicas')),
    whole('Ready', number('status', 'readyReplicas')),
    ageColumn,
    ...templateColumns,
  ],
  'statefulsets.apps': [
    text(
      'Ready',
      (object) => `${number('status', 'readyReplicas')(object, 0)}/${number('spec', 'replicas')(object, 0)}`,
    ),
    ageColumn,
    ...templateColumns.slice(0, 2),
  ],
  'daemonsets.apps': [
    whole('Desired', number('status', 'desiredNumberScheduled')),
    whole('Current', number('status', 'currentNumberScheduled')),
    whole('Ready', number('status', 'numberReady')),
    whole('Up-to-date', number('status', 'updatedNumberScheduled')),
    whole('Available', number('status', 'numberAvailable')),
    ageColumn,
    ...templateColumns,
  ],
  'jobs.batch': [
    text('Status', jobStatus),
    text('Completions', jobCompletions),
    text('Duration', jobDuration),
    ageColumn,
    ...templateColumns,
  ],
  'cronjobs.batch': [
    text('Schedule', field('spec', 'schedule')),
    text('Timezone', orNone(field('spec', 'timeZone'))),
    {
      name: 'Suspend',
      type: 'boolean',
      cell: (object) => String(at(object, 'spec', 'suspend') === true ? 'True' : 'False'),
    },
    whole('Active', (object) => objectsAt(object, 'status', 'active').length),
    text('Last Schedule', (object, nowMs) => since(at(object, 'status', 'lastScheduleTime'), nowMs)),
  ],
  'poddisruptionbudgets.policy': [
    text('Min Available', budget('minAvailable')),
    text('Max Unavailable', budget('maxUnavailable')),
    whole('Allowed Disruptions', number('status', 'disruptionsAllowed')),
  ],
  'leases.coordination.k8s.io': [text('Holder', (object) => at(object, 'spec', 'holderIdentity') ?? '')],
  'endpointslices.discovery.k8s.io': [
    text('AddressType', field('addressType')),
    text(
      'Ports',
      (object) =>
        objectsAt(object, 'ports')
          .map((one) => one.port)
          .join(',') || '<unset>',
    ),
    text('Endpoints', (object) => {
      const addresses = objectsAt(object, 'endpoints').flatMap((one) =>
        Array.isArray(one.addresses) ? one.addresses.map(String) : [],
      );
      return addresses.length ? shorten(addresses) : '<unset>';
    }),
  ],
  'storageclasses.storage.k8s.io': [
    text('Provisioner', field('provisioner')),
    text('ReclaimPolicy', field('reclaimPolicy')),
    text('VolumeBindingMode', field('volumeBindingMode')),
    { name: 'AllowVolumeExpansion', type: 'string', cell: (object) => object.allowVolumeExpansion === true },
  ],
  'roles.rbac.authorization.k8s.io': [created],
  'clusterroles.rbac.authorization.k8s.io': [created],
  'rolebindings.rbac.authorization.k8s.io': BINDING,
  'clusterrolebindings.rbac.authorization.k8s.io': BINDING,
  'customresourcedefinitions.apiextensions.k8s.io': [created],
};
