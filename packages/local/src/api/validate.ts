/** Checks of built-in kinds that people actually run into; the rest of their schema is checked by shape. */
import { definitionErrors } from './crd/definition-errors.ts';
import { labelErrors } from './names.ts';
import { compareQuantities, parseQuantity } from './quantity.ts';
import { fromSelectorObject, matchesLabels } from './selectors.ts';
import { type FieldError, forbiddenValue, invalidValue, requiredValue, unsupportedValue } from './status.ts';
import {
  clone,
  isObject,
  type KubeObject,
  type Obj,
  objectAt,
  objectsAt,
  type Resource,
  same,
  stringAt,
} from './types.ts';

type Check = (object: KubeObject) => FieldError[];

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

function podSpecErrors(spec: Obj, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const containers = objectsAt(spec, 'containers');
  if (containers.length === 0) errors.push(requiredValue(`${path}.containers`));
  const names = new Set<string>();
  for (const list of ['initContainers', 'containers']) {
    for (const [index, container] of objectsAt(spec, list).entries()) {
      errors.push(...containerErrors(container, `${path}.${list}[${index}]`, spec, names));
    }
  }
  for (const [index, volume] of objectsAt(spec, 'volumes').entries()) {
    if (!volume.name) errors.push(requiredValue(`${path}.volumes[${index}].name`));
  }
  const policies = ['Always', 'OnFailure', 'Never'];
  if (!policies.includes(String(spec.restartPolicy)))
    errors.push(unsupportedValue(`${path}.restartPolicy`, spec.restartPolicy, policies));
  return errors;
}

function containerErrors(container: Obj, path: string, spec: Obj, names: Set<string>): FieldError[] {
  const errors: FieldError[] = [];
  const name = stringAt(container, 'name');
  if (!name) errors.push(requiredValue(`${path}.name`));
  else if (!DNS_LABEL.test(name) || name.length > 63)
    errors.push(
      invalidValue(
        `${path}.name`,
        name,
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-'",
      ),
    );
  else if (names.has(name))
    errors.push({
      type: 'FieldValueDuplicate',
      field: `${path}.name`,
      message: `Duplicate value: ${JSON.stringify(name)}`,
    });
  if (name) names.add(name);
  if (!container.image) errors.push(requiredValue(`${path}.image`));
  const volumes = new Set(objectsAt(spec, 'volumes').map((volume) => volume.name));
  for (const [index, mount] of objectsAt(container, 'volumeMounts').entries()) {
    const mountPath = `${path}.volumeMounts[${index}]`;
    if (!mount.mountPath) errors.push(requiredValue(`${mountPath}.mountPath`));
    if (!volumes.has(mount.name))
      errors.push({
        type: 'FieldValueInvalid',
        field: `${mountPath}.name`,
        message: `Not found: ${JSON.stringify(mount.name)}`,
      });
  }
  for (const kind of ['requests', 'limits']) {
    for (const [resource, amount] of Object.entries(objectAt(container, 'resources', kind))) {
      if (parseQuantity(String(amount)) === undefined)
        errors.push(invalidValue(`${path}.resources.${kind}[${resource}]`, amount, 'must be a quantity'));
    }
  }
  errors.push(...requestsOverLimits(container, path));
  return errors;
}

function requestsOverLimits(container: Obj, path: string): FieldError[] {
  const limits = objectAt(container, 'resources', 'limits');
  return Object.entries(objectAt(container, 'resources', 'requests'))
    .filter(
      ([name, amount]) =>
        limits[name] !== undefined && compareQuantities(String(amount), String(limits[name])) === 1,
    )
    .map(([name, amount]) =>
      invalidValue(
        `${path}.resources.requests`,
        String(amount),
        `must be less than or equal to ${name} limit of ${limits[name]}`,
      ),
    );
}

function templateErrors(object: KubeObject): FieldError[] {
  const spec = objectAt(object, 'spec');
  const labels = objectAt(spec, 'template', 'metadata', 'labels') as Record<string, string>;
  const errors = [
    ...labelErrors(labels, 'spec.template.metadata.labels'),
    ...podSpecErrors(objectAt(spec, 'template', 'spec'), 'spec.template.spec'),
  ];
  if (!isObject(spec.selector)) errors.push(requiredValue('spec.selector'));
  else if (!matchesLabels(labels, fromSelectorObject(spec.selector))) {
    errors.push(
      invalidValue('spec.template.metadata.labels', labels, '`selector` does not match template `labels`'),
    );
  }
  if (typeof spec.replicas === 'number' && spec.replicas < 0)
    errors.push(invalidValue('spec.replicas', spec.replicas, 'must be greater than or equal to 0'));
  return errors;
}

function serviceErrors(object: KubeObject): FieldError[] {
  const spec = objectAt(object, 'spec');
  const errors: FieldError[] = [];
  const ports = objectsAt(spec, 'ports');
  if (spec.type !== 'ExternalName' && spec.clusterIP !== 'None' && ports.length === 0)
    errors.push(requiredValue('spec.ports'));
  for (const [index, port] of ports.entries()) {
    const path = `spec.ports[${index}]`;
    if (ports.length > 1 && !port.name) errors.push(requiredValue(`${path}.name`));
    const number = Number(port.port);
    if (!Number.isInteger(number) || number < 1 || number > 65535)
      errors.push(invalidValue(`${path}.port`, port.port ?? 0, 'must be between 1 and 65535, inclusive'));
  }
  const types = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
  if (!types.includes(String(spec.type))) errors.push(unsupportedValue('spec.type', spec.type, types));
  if (spec.type === 'ExternalName' && !spec.externalName) errors.push(requiredValue('spec.externalName'));
  return errors;
}

function dataErrors(object: KubeObject): FieldError[] {
  const errors: FieldError[] = [];
  for (const key of [
    ...Object.keys(objectAt(object, 'data')),
    ...Object.keys(objectAt(object, 'binaryData')),
  ]) {
    if (!/^[-._a-zA-Z0-9]+$/.test(key)) {
      errors.push(
        invalidValue(
          `data[${key}]`,
          key,
          "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
        ),
      );
    }
  }
  return errors;
}

function claimErrors(object: KubeObject): FieldError[] {
  const spec = objectAt(object, 'spec');
  const errors: FieldError[] = [];
  if (!Array.isArray(spec.accessModes) || spec.accessModes.length === 0)
    errors.push(requiredValue('spec.accessModes', 'at least 1 access mode is required'));
  const storage = objectAt(spec, 'resources', 'requests').storage;
  if (storage === undefined) errors.push(requiredValue('spec.resources[storage]'));
  else if ((parseQuantity(String(storage)) ?? 0n) <= 0n)
    errors.push(invalidValue('spec.resources[storage]', storage, 'must be greater than zero'));
  return errors;
}

function roleErrors(object: KubeObject): FieldError[] {
  return objectsAt(object, 'rules').flatMap((rule, index) => {
    const path = `rules[${index}]`;
    const has = (key: string) => Array.isArray(rule[key]) && (rule[key] as unknown[]).length > 0;
    const errors: FieldError[] = [];
    if (!has('verbs')) errors.push(requiredValue(`${path}.verbs`, 'verbs must contain at least one value'));
    if (has('nonResourceURLs')) return errors;
    if (!has('apiGroups'))
      errors.push(requiredValue(`${path}.apiGroups`, 'resource rules must supply at least one api group'));
    if (!has('resources'))
      errors.push(requiredValue(`${path}.resources`, 'resource rules must supply at least one resource'));
    return errors;
  });
}

function bindingErrors(object: KubeObject): FieldError[] {
  const ref = objectAt(object, 'roleRef');
  const errors: FieldError[] = [];
  if (!ref.name) errors.push(requiredValue('roleRef.name'));
  const kinds = object.kind === 'RoleBinding' ? ['Role', 'ClusterRole'] : ['ClusterRole'];
  if (!kinds.includes(String(ref.kind))) errors.push(unsupportedValue('roleRef.kind', ref.kind ?? '', kinds));
  for (const [index, subject] of objectsAt(object, 'subjects').entries()) {
    if (!subject.name) errors.push(requiredValue(`subjects[${index}].name`));
    if (subject.kind === 'ServiceAccount' && !subject.namespace)
      errors.push(requiredValue(`subjects[${index}].namespace`));
  }
  return errors;
}

const MICRO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

function leaseErrors(object: KubeObject): FieldError[] {
  const spec = objectAt(object, 'spec');
  const errors: FieldError[] = [];
  for (const key of ['acquireTime', 'renewTime']) {
    const value = spec[key];
    if (value !== undefined && value !== null && !MICRO_TIME.test(String(value)))
      errors.push(invalidValue(`spec.${key}`, value, 'must be a time with six fractional digits'));
  }
  for (const key of ['leaseDurationSeconds', 'leaseTransitions']) {
    const value = spec[key];
    if (typeof value === 'number' && value < (key === 'leaseTransitions' ? 0 : 1)) {
      errors.push(
        invalidValue(
          `spec.${key}`,
          value,
          `must be greater than ${key === 'leaseTransitions' ? 'or equal to ' : ''}0`,
        ),
      );
    }
  }
  return errors;
}

function indexedErrors(object: KubeObject): FieldError[] {
  const { completionMode, completions } = objectAt(object, 'spec');
  return completionMode === 'Indexed' && completions === undefined
    ? [requiredValue('spec.completions', 'when completion mode is Indexed')]
    : [];
}

const CREATE: Record<string, Check> = {
  pods: (object) => podSpecErrors(objectAt(object, 'spec'), 'spec'),
  'deployments.apps': templateErrors,
  'replicasets.apps': templateErrors,
  'statefulsets.apps': templateErrors,
  'daemonsets.apps': templateErrors,
  'jobs.batch': (object) => [...templateErrors(object), ...indexedErrors(object)],
  services: serviceErrors,
  configmaps: dataErrors,
  secrets: dataErrors,
  persistentvolumeclaims: claimErrors,
  'roles.rbac.authorization.k8s.io': roleErrors,
  'clusterroles.rbac.authorization.k8s.io': roleErrors,
  'rolebindings.rbac.authorization.k8s.io': bindingErrors,
  'clusterrolebindings.rbac.authorization.k8s.io': bindingErrors,
  'leases.coordination.k8s.io': leaseErrors,
  'customresourcedefinitions.apiextensions.k8s.io': definitionErrors,
};

/** What is wrong with a new object of a built-in kind. */
export function createErrors(resource: Resource, object: KubeObject): FieldError[] {
  return CREATE[resource.storage]?.(object) ?? [];
}

type UpdateCheck = (object: KubeObject, old: KubeObject) => FieldError[];

/** A pod's spec without what may change in place. */
function fixedPodSpec(spec: Obj): Obj {
  const fixed = clone(spec);
  for (const list of ['containers', 'initContainers'])
    for (const one of objectsAt(fixed, list)) delete one.image;
  delete fixed.activeDeadlineSeconds;
  delete fixed.tolerations;
  delete fixed.ephemeralContainers;
  return fixed;
}

function podUpdate(object: KubeObject, old: KubeObject): FieldError[] {
  const [after, before] = [fixedPodSpec(objectAt(object, 'spec')), fixedPodSpec(objectAt(old, 'spec'))];
  if (same(after, before)) return [];
  return [
    forbiddenValue(
      'spec',
      'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
    ),
  ];
}

function fixed(...path: string[]): UpdateCheck {
  return (object, old) => {
    const [parent, field] = [path.slice(0, -1), path.at(-1) as string];
    const [after, before] = [objectAt(object, ...parent)[field], objectAt(old, ...parent)[field]];
    return same(after, before) ? [] : [invalidValue(path.join('.'), after ?? null, 'field is immutable')];
  };
}

function dataUpdate(object: KubeObject, old: KubeObject): FieldError[] {
  if (object.kind === 'Secret' && object.type !== old.type)
    return [invalidValue('type', object.type, 'field is immutable')];
  if (old.immutable !== true) return [];
  const changed =
    object.immutable !== true || !same(object.data, old.data) || !same(object.binaryData, old.binaryData);
  return changed ? [forbiddenValue('data', 'field is immutable when `immutable` is set')] : [];
}

function claimUpdate(object: KubeObject, old: KubeObject): FieldError[] {
  const bound = objectAt(old, 'status').phase === 'Bound';
  const strip = (claim: KubeObject) => ({
    ...objectAt(claim, 'spec'),
    ...(bound ? { resources: undefined } : {}),
    volumeName: undefined,
    volumeAttributesClassName: undefined,
  });
  const [after, before] = [strip(object) as Obj, strip(old) as Obj];
  // A claim may get its class later, when it had none.
  if (before.storageClassName === undefined) delete after.storageClassName;
  const errors: FieldError[] = [];
  const oldVolume = objectAt(old, 'spec').volumeName;
  if (!same(after, before) || (oldVolume && objectAt(object, 'spec').volumeName !== oldVolume)) {
    errors.push(
      forbiddenValue(
        'spec',
        'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims',
      ),
    );
  }
  const [wanted, had] = [object, old].map((claim) =>
    String(objectAt(claim, 'spec', 'resources', 'requests').storage),
  );
  if (compareQuantities(wanted as string, had as string) === -1)
    errors.push(
      forbiddenValue('spec.resources.requests.storage', 'field can not be less than status.capacity'),
    );
  return errors;
}

const UPDATE: Record<string, UpdateCheck> = {
  pods: podUpdate,
  'deployments.apps': fixed('spec', 'selector'),
  'replicasets.apps': fixed('spec', 'selector'),
  'daemonsets.apps': fixed('spec', 'selector'),
  'jobs.batch': (object, old) => [
    ...fixed('spec', 'selector')(object, old),
    ...fixed('spec', 'template')(object, old),
    ...fixed('spec', 'completions')(object, old),
  ],
  secrets: dataUpdate,
  configmaps: dataUpdate,
  persistentvolumeclaims: claimUpdate,
  'storageclasses.storage.k8s.io': (object, old) => [
    ...fixed('provisioner')(object, old),
    ...fixed('parameters')(object, old),
    ...fixed('volumeBindingMode')(object, old),
    ...fixed('reclaimPolicy')(object, old),
  ],
  'rolebindings.rbac.authorization.k8s.io': roleRefUpdate,
  'clusterrolebindings.rbac.authorization.k8s.io': roleRefUpdate,
};

function roleRefUpdate(object: KubeObject, old: KubeObject): FieldError[] {
  return same(object.roleRef, old.roleRef)
    ? []
    : [invalidValue('roleRef', object.roleRef, 'cannot change roleRef')];
}

/** What is wrong with an update of a built-in kind. Status and binding writes are not checked against the past. */
export function updateErrors(
  resource: Resource,
  object: KubeObject,
  old: KubeObject,
  subresource: string | undefined,
): FieldError[] {
  if (subresource === 'status' || subresource === 'binding' || subresource === 'finalize') return [];
  const changes = subresource === undefined ? (UPDATE[resource.storage]?.(object, old) ?? []) : [];
  return [...createErrors(resource, object), ...changes];
}
