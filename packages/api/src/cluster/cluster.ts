/** The kind Cluster. */
import type { Static, TUnsafe } from 'typebox';
import { Type } from 'typebox';
import { MAX_CLUSTER_NAME_LENGTH } from '../names.ts';
import { object, optional, text } from '../schema.ts';
import { ClusterSpecSchema } from './spec.ts';
import { ClusterStatusSchema } from './status.ts';

/** `metadata` as pgherd reads it; an object from the API has more. */
export interface ClusterMetadata {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
}

export const ClusterSchema = object(
  'A PostgreSQL cluster: one primary, its replicas, and all they need.',
  {
    apiVersion: text(
      'Version of the schema of this object. More: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources',
    ),
    kind: text(
      'Kind of this object. More: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds',
    ),
    metadata: Type.Unsafe({ type: 'object' }) as TUnsafe<ClusterMetadata>,
    spec: ClusterSpecSchema,
    status: optional(ClusterStatusSchema),
  },
  {
    rules: [
      {
        rule: "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        message:
          'metadata.name must be lower-case letters, digits and dashes, begin with a letter and hold no dot: it becomes part of the names of services',
      },
      {
        rule: `self.metadata.name.size() <= ${MAX_CLUSTER_NAME_LENGTH}`,
        message: `metadata.name must be at most ${MAX_CLUSTER_NAME_LENGTH} characters: the names of pods and services are made from it`,
      },
    ],
  },
);

export type Cluster = Static<typeof ClusterSchema>;
