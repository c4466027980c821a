import { GROUP, OPERATION_KIND, OPERATION_PLURAL, type Operation, VERSION } from '@pgherd/api';
import { defineKind, type KubeObject, type ObjectMeta } from '@pgherd/kube';

/** An operation as the API returns it. */
export type OperationObject = Operation &
  KubeObject & { metadata: ObjectMeta & { namespace: string; uid: string } };

export const OperationKind = defineKind<OperationObject>(GROUP, VERSION, OPERATION_KIND, OPERATION_PLURAL);
