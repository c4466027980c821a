/**
 * The Kubernetes objects we touch, as JSON has them (times are strings). Only fields that something here
 * reads or writes are listed; an object from the API has more, and keeps it through a read and a write.
 */
export type * from './objects/cluster.ts';
export type * from './objects/coordination.ts';
export type * from './objects/meta.ts';
export type * from './objects/pods.ts';
export type * from './objects/rights.ts';
export type * from './objects/services.ts';
export type * from './objects/storage.ts';
export type * from './objects/workloads.ts';
