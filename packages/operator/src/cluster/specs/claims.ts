import {
  ANNOTATION_SERIAL,
  dataClaimName,
  type EffectiveStorage,
  instanceLabels,
  instanceName,
  walClaimName,
} from '@pgherd/api';
import type { PersistentVolumeClaim } from '@pgherd/kube';
import { childMetadata, type SpecContext } from './metadata.ts';

/** The volume claims of instance number `serial`: its data, and its WAL where that has a volume of its own. */
export function volumeClaims(context: SpecContext, serial: number): PersistentVolumeClaim[] {
  const { spec, cluster } = context;
  const instance = instanceName(cluster.metadata.name, serial);
  const claim = (name: string, storage: EffectiveStorage): PersistentVolumeClaim => ({
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: childMetadata(context, name, {
      labels: instanceLabels(cluster.metadata.name, instance),
      annotations: { [ANNOTATION_SERIAL]: String(serial) },
    }),
    spec: {
      accessModes: ['ReadWriteOnce'],
      volumeMode: 'Filesystem',
      resources: { requests: { storage: storage.size } },
      ...(storage.storageClass ? { storageClassName: storage.storageClass } : {}),
    },
  });
  const claims = [claim(dataClaimName(instance), spec.storage)];
  if (spec.walStorage) claims.push(claim(walClaimName(instance), spec.walStorage));
  return claims;
}
