/** `spec.storage` and `spec.walStorage`. */
import { bytes, object, optional, text } from '../schema.ts';

const fields = {
  size: bytes('Size of each volume, for example 10Gi. It can grow later, not shrink.', '10Gi', [
    {
      rule: '!isQuantity(self) || !isQuantity(oldSelf) || quantity(self).compareTo(quantity(oldSelf)) >= 0',
      message: 'a volume cannot shrink: put the old size back or give a larger one',
      reason: 'FieldValueForbidden',
    },
  ]),
  storageClass: optional(
    text('StorageClass of the volumes. Default: the class that is default in the Kubernetes cluster.', {
      maxLength: 253,
      minLength: 1,
    }),
  ),
};

const sameClass = {
  rule: 'has(self.storageClass) == has(oldSelf.storageClass) && (!has(self.storageClass) || self.storageClass == oldSelf.storageClass)',
  message:
    'storageClass cannot be changed for existing volumes: put the old class back, or make a new cluster',
  fieldPath: '.storageClass',
  reason: 'FieldValueForbidden' as const,
};

/** A volume of each instance. */
export const storage = (description: string) => object(description, fields, { rules: [sameClass] });
