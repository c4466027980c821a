/** Leases and events. */
import type { KubeObject, ObjectReference } from './meta.ts';

export interface LeaseSpec {
  holderIdentity?: string;
  leaseDurationSeconds?: number;
  leaseTransitions?: number;
  /** RFC 3339 with exactly six fractional digits (see microTime). */
  acquireTime?: string;
  /** RFC 3339 with exactly six fractional digits (see microTime). */
  renewTime?: string;
}

export interface Lease extends KubeObject {
  spec: LeaseSpec;
}

export interface EventSource {
  component?: string;
  host?: string;
}

/** A core/v1 Event. */
export interface CoreEvent extends KubeObject {
  involvedObject: ObjectReference;
  type?: string;
  reason?: string;
  message?: string;
  source?: EventSource;
  reportingComponent?: string;
  reportingInstance?: string;
  firstTimestamp?: string;
  lastTimestamp?: string;
  count?: number;
}
