/** The CustomResourceDefinitions of our kinds. */
import { KINDS, type KindDefinition, type PrinterColumn } from './kinds.ts';
import { GROUP, VERSION } from './names.ts';
import { type StructuralSchema, structural } from './structural.ts';

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

/** The definition of one kind, ready to apply. */
export function crdOf(definition: KindDefinition): CustomResourceDefinition {
  const { kind, plural, singular, shortNames, schema, columns, subresources } = definition;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${GROUP}`, labels: { 'app.kubernetes.io/name': 'pgherd' } },
    spec: {
      group: GROUP,
      names: { kind, listKind: `${kind}List`, plural, singular, shortNames, categories: ['pgherd'] },
      scope: 'Namespaced',
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          additionalPrinterColumns: columns,
          schema: { openAPIV3Schema: structural(schema) },
          subresources: { status: {}, ...subresources },
        },
      ],
    },
  };
}

/** Every definition pgherd installs. */
export function customResourceDefinitions(): CustomResourceDefinition[] {
  return KINDS.map(crdOf);
}
