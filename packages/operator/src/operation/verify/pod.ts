/** The pod in which a backup is proven, and its volume. Pure. */
import {
  API_VERSION,
  names,
  OPERATION_KIND,
  type RepositorySource,
  VERIFY_REQUEST,
  type VerifyRequest,
} from '@pgherd/api';
import type { ObjectMeta, PersistentVolumeClaim, Pod } from '@pgherd/kube';
import type { Facts } from '../../cluster/facts.ts';
import { instancePod } from '../../cluster/specs/pod.ts';
import type { OperationObject } from '../kind.ts';

/** The name of both. */
export function verifyName({ metadata }: OperationObject): string {
  return `verify-${metadata.uid.replace(/[^a-z0-9]/g, '').slice(0, 12)}`;
}

function metadata(operation: OperationObject): ObjectMeta {
  const { name, namespace, uid } = operation.metadata;
  return {
    name: verifyName(operation),
    namespace,
    // Not the cluster's own: nobody is to take it for an instance.
    labels: { 'app.kubernetes.io/managed-by': 'pgherd', 'pgherd.io/operation': name },
    ownerReferences: [{ apiVersion: API_VERSION, kind: OPERATION_KIND, name, uid, controller: true }],
  };
}

/** As large as that of an instance. */
export function verifyClaim({ spec }: Facts, operation: OperationObject): PersistentVolumeClaim {
  const { size, storageClass } = spec.storage;
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: metadata(operation),
    spec: {
      accessModes: ['ReadWriteOnce'],
      volumeMode: 'Filesystem',
      resources: { requests: { storage: size } },
      ...(storageClass ? { storageClassName: storageClass } : {}),
    },
  };
}

/** As an instance's, but with another program, and no part of the cluster. */
export function verifyPod(facts: Facts, operation: OperationObject, source: RepositorySource): Pod {
  const { name, namespace } = facts.cluster.metadata;
  // Its WAL lies with its data.
  const { walStorage: _, ...spec } = facts.spec;
  const pod = instancePod({ ...facts, spec }, { serial: 1 });
  const [container] = pod.spec.containers;
  const request: VerifyRequest = {
    id: operation.metadata.uid,
    source,
    cluster: { metadata: { name, namespace }, spec: facts.cluster.spec },
    tables: operation.spec.verifyBackup?.tables ?? [],
  };
  const { startupProbe: __, livenessProbe: ___, readinessProbe: ____, ...database } = container!;
  const { subdomain: _____, affinity: ______, topologySpreadConstraints: _______, ...rest } = pod.spec;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: metadata(operation),
    spec: {
      ...rest,
      hostname: verifyName(operation),
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 10,
      serviceAccountName: names(name).serviceAccount,
      containers: [
        {
          ...database,
          command: ['/pgherd/bin/node', '/pgherd/verify.mjs'],
          env: [...(database.env ?? []), { name: VERIFY_REQUEST, value: JSON.stringify(request) }],
        },
      ],
      volumes: (rest.volumes ?? []).map((volume) =>
        volume.name === 'pgdata'
          ? { name: 'pgdata', persistentVolumeClaim: { claimName: verifyName(operation) } }
          : volume,
      ),
    },
  };
}
