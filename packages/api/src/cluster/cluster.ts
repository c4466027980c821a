/** The kind Cluster. */
import type { Static } from 'typebox';
import { MAX_CLUSTER_NAME_LENGTH } from '../names.ts';
import { kindObject, nameRules } from '../object.ts';
import { optional } from '../schema.ts';
import { ClusterSpecSchema } from './spec.ts';
import { ClusterStatusSchema } from './status.ts';

export const ClusterSchema = kindObject(
  'A PostgreSQL cluster: one primary, its replicas, and all they need.',
  { spec: ClusterSpecSchema, status: optional(ClusterStatusSchema) },
  nameRules(MAX_CLUSTER_NAME_LENGTH, 'it becomes part of the names of services'),
);

export type Cluster = Static<typeof ClusterSchema>;
