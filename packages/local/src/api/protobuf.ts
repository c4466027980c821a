/** Kubernetes' protobuf envelope (`k8s\0`). */
import { unsupportedMediaType } from './status.ts';

/** Decodes an envelope into the JSON form of its object. */
export function decodeEnvelope(_data: Buffer): unknown {
  throw unsupportedMediaType('protobuf bodies are not understood here: use `kubectl create -f FILE`');
}
