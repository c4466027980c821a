import {
  ANNOTATION_EPOCH,
  clusterLabels,
  instanceLabels,
  LABEL_ROLE,
  names,
  POSTGRES_PORT,
} from '@pgherd/api';
import type { Service } from '@pgherd/kube';
import { childMetadata, type SpecContext } from './metadata.ts';

/** No instance is called so: what `-rw` selects while nobody leads. */
export const NOBODY = 'nobody';

function service(context: SpecContext, name: string, spec: Partial<Service['spec']>): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: childMetadata(context, name),
    spec: {
      type: 'ClusterIP',
      // Where the cluster has both families of addresses, the service does; elsewhere it has the one that there is.
      ipFamilyPolicy: 'PreferDualStack',
      ports: [{ name: 'postgresql', port: POSTGRES_PORT, targetPort: POSTGRES_PORT, protocol: 'TCP' }],
      ...spec,
    },
  };
}

/** `-ro`, the replicas, and `-r`, any instance. */
export function readServices(context: SpecContext): Service[] {
  const { name } = context.cluster.metadata;
  return [
    service(context, names(name).ro, { selector: { ...clusterLabels(name), [LABEL_ROLE]: 'replica' } }),
    service(context, names(name).r, { selector: clusterLabels(name) }),
  ];
}

/**
 * `-rw`, without what the leader writes itself (selector and epoch): laid over an existing Service it leaves
 * those alone. Addresses that are not ready are published: the leader points it at itself exactly when it
 * serves, and a probe that comes a second later would only lengthen an outage.
 */
export function writeService(context: SpecContext): Service {
  return service(context, names(context.cluster.metadata.name).rw, { publishNotReadyAddresses: true });
}

/** `-rw` as it is made: pointing at the leader if there is one (after it was deleted by hand), else at nobody. */
export function newWriteService(context: SpecContext, leader?: { name: string; epoch: number }): Service {
  const desired = writeService(context);
  const { name } = context.cluster.metadata;
  return {
    ...desired,
    metadata: {
      ...desired.metadata,
      annotations: { ...desired.metadata.annotations, [ANNOTATION_EPOCH]: String(leader?.epoch ?? 0) },
    },
    spec: { ...desired.spec, selector: instanceLabels(name, leader?.name ?? NOBODY) },
  };
}
