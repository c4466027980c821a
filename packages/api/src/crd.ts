/** The CustomResourceDefinitions of our kinds. */
import { ClusterSchema } from './cluster/cluster.ts';
import { CLUSTER_KIND, CLUSTER_PLURAL, GROUP, VERSION } from './names.ts';
import { type StructuralSchema, structural } from './structural.ts';

interface PrinterColumn {
  name: string;
  type: 'string' | 'integer' | 'date';
  description: string;
  jsonPath: string;
  priority?: number;
}

export interface CustomResourceDefinition {
  apiVersion: 'apiextensions.k8s.io/v1';
  kind: 'CustomResourceDefinition';
  metadata: { name: string; labels: Record<string, string> };
  spec: {
    group: string;
    names: {
      kind: string;
      listKind: string;
      plural: string;
      singular: string;
      shortNames: string[];
      categories: string[];
    };
    scope: 'Namespaced';
    versions: {
      name: string;
      served: boolean;
      storage: boolean;
      additionalPrinterColumns: PrinterColumn[];
      schema: { openAPIV3Schema: StructuralSchema };
      subresources: Record<string, object>;
    }[];
  };
}

const columns: PrinterColumn[] = [
  {
    name: 'Instances',
    type: 'integer',
    description: 'Instances that exist',
    jsonPath: '.status.instances',
  },
  {
    name: 'Ready',
    type: 'integer',
    description: 'Instances that are ready',
    jsonPath: '.status.readyInstances',
  },
  { name: 'Status', type: 'string', description: 'What the cluster is doing', jsonPath: '.status.phase' },
  {
    name: 'Primary',
    type: 'string',
    description: 'Instance that is primary',
    jsonPath: '.status.currentPrimary',
  },
  {
    name: 'Age',
    type: 'date',
    description: 'Time since it was made',
    jsonPath: '.metadata.creationTimestamp',
  },
  {
    name: 'Reason',
    type: 'string',
    description: 'Why it is in this status',
    jsonPath: '.status.phaseReason',
    priority: 1,
  },
  {
    name: 'Image',
    type: 'string',
    description: 'Image the instances run',
    jsonPath: '.status.image',
    priority: 1,
  },
];

/** The definition of the kind Cluster, ready to apply. */
export function clusterCrd(): CustomResourceDefinition {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${CLUSTER_PLURAL}.${GROUP}`,
      labels: { 'app.kubernetes.io/name': 'pgherd' },
    },
    spec: {
      group: GROUP,
      names: {
        kind: CLUSTER_KIND,
        listKind: `${CLUSTER_KIND}List`,
        plural: CLUSTER_PLURAL,
        singular: 'cluster',
        shortNames: ['pgc'],
        categories: ['pgherd'],
      },
      scope: 'Namespaced',
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          additionalPrinterColumns: columns,
          schema: { openAPIV3Schema: structural(ClusterSchema) },
          subresources: {
            status: {},
            scale: {
              specReplicasPath: '.spec.instances',
              statusReplicasPath: '.status.instances',
              labelSelectorPath: '.status.selector',
            },
          },
        },
      ],
    },
  };
}

/** Every definition pgherd installs. */
export function customResourceDefinitions(): CustomResourceDefinition[] {
  return [clusterCrd()];
}
