/** Small objects of built-in kinds for the rows. */
import type { Json } from './table.ts';

export function configMap(name: string, data: Json = { a: '1' }, metadata: Json = {}): Json {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...metadata }, data };
}

/** Nothing of it runs: it has no replicas. */
export function deployment(name: string, more: Json = {}): Json {
  const labels = { app: name };
  const containers = [
    {
      name: 'one',
      image: 'example.com/one:1',
      ports: [{ containerPort: 80 }],
      env: [{ name: 'A', value: '1' }],
    },
    { name: 'two', image: 'example.com/two:1' },
  ];
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas: 0,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers } },
      ...more,
    },
  };
}

/** A pod that no node takes. */
export function pendingPod(name: string, metadata: Json = {}, spec: Json = {}): Json {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, ...metadata },
    spec: {
      nodeSelector: { 'conformance.pgherd.io/nowhere': 'true' },
      containers: [{ name: 'c', image: 'example.com/none:1' }],
      ...spec,
    },
  };
}

/** A pod that runs until it is told to stop, and may run where pods are "restricted". */
export function runningPod(name: string, image: string, metadata: Json = {}): Json {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, ...metadata },
    spec: {
      terminationGracePeriodSeconds: 1,
      securityContext: { runAsNonRoot: true, runAsUser: 10001, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: 'c',
          image,
          command: ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.2; done'],
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
        },
      ],
    },
  };
}

export function lease(name: string, spec: Json = {}): Json {
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name },
    spec: {
      holderIdentity: 'me',
      leaseDurationSeconds: 10,
      renewTime: '2026-01-02T03:04:05.123456Z',
      ...spec,
    },
  };
}

export function role(name: string, resources: string[] = ['configmaps']): Json {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'Role',
    metadata: { name },
    rules: [{ apiGroups: [''], resources, verbs: ['get'] }],
  };
}

export function service(name: string, spec: Json = {}): Json {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { selector: { app: name }, ports: [{ port: 80 }], ...spec },
  };
}
