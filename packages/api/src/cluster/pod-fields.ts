/** Fields that end in the pod's spec, in the shapes Kubernetes gives them. */
import { bool, integer, intOrQuantity, list, map, object, oneOf, optional, text } from '../schema.ts';

const name = (what: string) => text(`Name of the ${what}.`, { maxLength: 253, minLength: 1 });

/** A reference to an object of the cluster's own namespace. */
export const localReference = (what: string, description: string) =>
  object(description, { name: name(what) });

/** A reference to one key of a Secret or ConfigMap. */
export const keyReference = (what: string, description: string) =>
  object(description, {
    name: name(what),
    key: text(`Key within the ${what}.`, { maxLength: 253, minLength: 1 }),
  });

const optionalKeyReference = (what: string, description: string) =>
  object(description, {
    name: name(what),
    key: text(`Key within the ${what}.`, { maxLength: 253, minLength: 1 }),
    optional: optional(bool(`Whether the pod may start without the ${what} or its key.`)),
  });

export const resources = object(
  'CPU, memory and other resources of each instance, as in a pod. Set requests and limits of memory alike, so that the database is the last to be evicted.',
  {
    requests: optional(
      map('What each instance is sure to get.', intOrQuantity('An amount such as 500m or 2Gi.')),
    ),
    limits: optional(
      map('What each instance may use at most.', intOrQuantity('An amount such as 500m or 2Gi.')),
    ),
  },
);

const fieldRef = object('A field of the pod.', {
  apiVersion: optional(text('Version of the schema the path is written in.', { maxLength: 64 })),
  fieldPath: text('Path of the field, for example metadata.namespace.', { maxLength: 253 }),
});

const resourceFieldRef = object('A resource of the container.', {
  containerName: optional(text('Name of the container.', { maxLength: 63 })),
  resource: text('Resource to read, for example limits.memory.', { maxLength: 253 }),
  divisor: optional(intOrQuantity('Unit to express it in.')),
});

const RESERVED_ENV =
  "!(self in ['PGDATA', 'PGPORT', 'PGHOST', 'CLUSTER_NAME', 'POD_NAME', 'POD_NAMESPACE', 'POD_UID', 'POD_IP', 'NODE_OPTIONS']) && !self.startsWith('PGHERD_')";

export const env = list(
  'Environment variables of the database container.',
  object('An environment variable.', {
    name: text('Name of the variable.', {
      maxLength: 253,
      minLength: 1,
      rules: [{ rule: RESERVED_ENV, message: 'this variable is for pgherd alone: choose another name' }],
    }),
    value: optional(text('Value of the variable.')),
    valueFrom: optional(
      object('Where the value comes from.', {
        secretKeyRef: optional(optionalKeyReference('Secret', 'A key of a Secret.')),
        configMapKeyRef: optional(optionalKeyReference('ConfigMap', 'A key of a ConfigMap.')),
        fieldRef: optional(fieldRef),
        resourceFieldRef: optional(resourceFieldRef),
      }),
    ),
  }),
  { maxItems: 256 },
);

const envSource = (what: string) =>
  object(`A ${what} whose keys all become variables.`, {
    name: name(what),
    optional: optional(bool(`Whether the pod may start without the ${what}.`)),
  });

export const envFrom = list(
  'Secrets and ConfigMaps whose keys all become environment variables of the database container.',
  object('A source of environment variables.', {
    prefix: optional(text('Put before each key.', { maxLength: 253 })),
    configMapRef: optional(envSource('ConfigMap')),
    secretRef: optional(envSource('Secret')),
  }),
  { maxItems: 64 },
);

const label = (description: string) => text(description, { maxLength: 317, minLength: 1 });

const labelSelector = (description: string) =>
  object(description, {
    matchLabels: optional(map('Labels that must have exactly these values.', text('Value of the label.'))),
    matchExpressions: optional(
      list(
        'Conditions on labels, all of which must hold.',
        object('A condition on a label.', {
          key: label('The label.'),
          operator: oneOf('How the label relates to the values.', ['In', 'NotIn', 'Exists', 'DoesNotExist']),
          values: optional(list('Values to compare with.', text('A value.'))),
        }),
      ),
    ),
  });

const nodeConditions = (description: string) =>
  list(
    description,
    object('A condition on a node.', {
      key: label('The label or field.'),
      operator: oneOf('How it relates to the values.', ['In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt']),
      values: optional(list('Values to compare with.', text('A value.'))),
    }),
  );

const nodeSelectorTerm = (description: string) =>
  object(description, {
    matchExpressions: optional(nodeConditions("Conditions on the node's labels.")),
    matchFields: optional(nodeConditions("Conditions on the node's fields.")),
  });

const weight = integer('How much it counts against the others, 1 to 100.', {
  minimum: 1,
  maximum: 100,
  format: 'int32',
});

const nodeAffinity = object('Which nodes instances may or should run on, as in a pod.', {
  requiredDuringSchedulingIgnoredDuringExecution: optional(
    object('Nodes instances must run on.', {
      nodeSelectorTerms: list(
        'Terms, one of which must hold.',
        nodeSelectorTerm('Conditions that must all hold.'),
      ),
    }),
  ),
  preferredDuringSchedulingIgnoredDuringExecution: optional(
    list(
      'Nodes instances should rather run on.',
      object('A preference.', { weight, preference: nodeSelectorTerm('Conditions that must all hold.') }),
    ),
  ),
});

const podAffinityTerm = (description: string) =>
  object(description, {
    labelSelector: optional(labelSelector('Which pods.')),
    namespaces: optional(list('Namespaces of those pods; the own one when empty.', text('A namespace.'))),
    namespaceSelector: optional(labelSelector('Which namespaces, by their labels.')),
    topologyKey: label(
      'Label of nodes that says what counts as one place, for example kubernetes.io/hostname.',
    ),
  });

const podAffinity = (description: string) =>
  object(description, {
    requiredDuringSchedulingIgnoredDuringExecution: optional(
      list('Terms that must hold.', podAffinityTerm('A term.')),
    ),
    preferredDuringSchedulingIgnoredDuringExecution: optional(
      list(
        'Terms that should rather hold.',
        object('A preference.', { weight, podAffinityTerm: podAffinityTerm('A term.') }),
      ),
    ),
  });

export const affinity = object('Where instances run. By default they spread over nodes as far as they can.', {
  enablePodAntiAffinity: optional(bool('Whether instances keep apart from each other. Default: true.')),
  podAntiAffinityType: optional(
    oneOf(
      'preferred: instances share a node when there are too few; required: an instance without a node of its own waits. Default: preferred.',
      ['preferred', 'required'],
    ),
  ),
  topologyKey: optional(
    text(
      'Label of nodes that says what counts as one place: kubernetes.io/hostname for nodes, topology.kubernetes.io/zone for zones. Default: kubernetes.io/hostname.',
      { maxLength: 317, minLength: 1 },
    ),
  ),
  nodeSelector: optional(map('Labels a node must have.', text('Value of the label.'))),
  nodeAffinity: optional(nodeAffinity),
  tolerations: optional(
    list(
      'Taints of nodes that instances put up with.',
      object('A toleration.', {
        key: optional(text('Key of the taint; every key when empty.')),
        operator: optional(oneOf('How key and value are compared. Default: Equal.', ['Equal', 'Exists'])),
        value: optional(text('Value of the taint.')),
        effect: optional(
          oneOf('Effect of the taint; every effect when empty.', [
            'NoSchedule',
            'PreferNoSchedule',
            'NoExecute',
          ]),
        ),
        tolerationSeconds: optional(
          integer('How long a NoExecute taint is put up with, in seconds.', { format: 'int64' }),
        ),
      }),
    ),
  ),
  additionalPodAffinity: optional(podAffinity('Further pods to be near to.')),
  additionalPodAntiAffinity: optional(podAffinity('Further pods to keep away from.')),
});

export const topologySpreadConstraints = list(
  'How instances spread over places, as in a pod; a constraint without labelSelector counts the instances of this cluster.',
  object('A constraint.', {
    maxSkew: integer('How much the numbers of instances of two places may differ.', {
      minimum: 1,
      format: 'int32',
    }),
    topologyKey: label('Label of nodes that says what counts as one place.'),
    whenUnsatisfiable: oneOf('DoNotSchedule: the instance waits; ScheduleAnyway: it is only a preference.', [
      'DoNotSchedule',
      'ScheduleAnyway',
    ]),
    labelSelector: optional(labelSelector('Which pods count. Default: the instances of this cluster.')),
    minDomains: optional(
      integer('How many places there have to be at least.', { minimum: 1, format: 'int32' }),
    ),
    nodeAffinityPolicy: optional(
      oneOf("Whether nodes that the pod's affinity excludes count.", ['Honor', 'Ignore']),
    ),
    nodeTaintsPolicy: optional(oneOf('Whether nodes with taints count.', ['Honor', 'Ignore'])),
    matchLabelKeys: optional(
      list('Labels of the pod whose values select as well.', text('A label.', { maxLength: 317 })),
    ),
  }),
  { maxItems: 16 },
);

export const priorityClassName = text('PriorityClass of the instances.', { minLength: 1, maxLength: 253 });

export const imagePullSecrets = list(
  'Secrets with which nodes fetch the images, the one with the instance manager included.',
  object('A secret of the namespace.', { name: name('Secret') }),
  { maxItems: 16 },
);

const RESERVED_KEYS = "self.all(k, !k.startsWith('pgherd.io/'))";
const reserved = (what: string) => [
  {
    rule: RESERVED_KEYS,
    message: `${what} that begin with pgherd.io/ belong to pgherd: choose another prefix`,
  },
];

export const inheritedMetadata = object(
  'Labels and annotations for every object that is made for this cluster.',
  {
    labels: optional(
      map('Labels.', text('Value of the label.', { maxLength: 63 }), {
        maxProperties: 64,
        rules: reserved('labels'),
      }),
    ),
    annotations: optional(
      map('Annotations.', text('Value of the annotation.'), {
        maxProperties: 64,
        rules: reserved('annotations'),
      }),
    ),
  },
);
