/** The custom resource that the rows use: each field shows one thing that a definition can say. */
import type { Json } from './table.ts';

/** Its definition. The names come from `group`, so that two runs do not meet. */
export function widgetDefinition(group: string): Json & { metadata: { name: string } } {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `widgets.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: {
        plural: 'widgets',
        singular: 'widget',
        kind: 'Widget',
        listKind: 'WidgetList',
        shortNames: ['wdg'],
        categories: ['conformance'],
      },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          subresources: {
            status: {},
            scale: {
              specReplicasPath: '.spec.replicas',
              statusReplicasPath: '.status.replicas',
              labelSelectorPath: '.status.selector',
            },
          },
          additionalPrinterColumns: [
            { name: 'Size', type: 'integer', jsonPath: '.spec.size' },
            { name: 'Wide', type: 'string', jsonPath: '.spec.colour', priority: 1 },
            { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
          ],
          schema: { openAPIV3Schema: schema },
        },
      ],
    },
  };
}

const schema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      required: ['size'],
      properties: {
        size: { type: 'integer', minimum: 1, maximum: 100 },
        replicas: { type: 'integer', minimum: 0, default: 1 },
        colour: { type: 'string', enum: ['red', 'blue'] },
        code: { type: 'string', pattern: '^[a-z]+$', maxLength: 5 },
        frozen: {
          type: 'string',
          'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'frozen cannot be changed' }],
        },
        amount: {
          'x-kubernetes-int-or-string': true,
          anyOf: [{ type: 'integer' }, { type: 'string' }],
        },
        maybe: { type: 'string', nullable: true },
        free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        settings: { type: 'object', additionalProperties: { type: 'string' } },
        mode: { type: 'string', default: 'auto' },
        inner: {
          type: 'object',
          properties: { depth: { type: 'integer', default: 3 }, open: { type: 'boolean' } },
        },
        parts: {
          type: 'array',
          maxItems: 3,
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          items: {
            type: 'object',
            required: ['name'],
            properties: { name: { type: 'string' }, weight: { type: 'integer', default: 1 } },
          },
        },
        words: {
          type: 'array',
          'x-kubernetes-list-type': 'set',
          items: { type: 'string', maxLength: 20 },
          maxItems: 10,
        },
        low: { type: 'integer' },
        high: { type: 'integer' },
      },
      'x-kubernetes-validations': [
        {
          rule: '!has(self.low) || !has(self.high) || self.low < self.high',
          // Built of constants: what is put together from values costs more than an API server allows a rule.
          messageExpression: "self.low > self.high ? 'low is above high' : 'low is as high as high'",
          reason: 'FieldValueInvalid',
          fieldPath: '.low',
        },
        { rule: '!has(oldSelf.frozen) || has(self.frozen)', message: 'frozen cannot be taken away' },
      ],
    },
    status: {
      type: 'object',
      properties: {
        phase: { type: 'string' },
        replicas: { type: 'integer' },
        selector: { type: 'string' },
      },
    },
  },
};

/** A widget of a spec. */
export function widget(group: string, name: string, spec: Json = {}, more: Json = {}): Json {
  return {
    apiVersion: `${group}/v1`,
    kind: 'Widget',
    metadata: { name, ...(more.metadata as Json | undefined) },
    spec: { size: 1, ...spec },
    ...(more.status ? { status: more.status } : {}),
  };
}
