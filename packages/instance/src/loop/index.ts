export { Loop, type LoopOptions } from './loop.ts';
export type { PeerTls } from './peers-client.ts';
export { ANNOTATION_FENCED, ANNOTATION_SWITCHOVER, settingsOf } from './settings.ts';
export { ClusterKind, type ClusterObject } from './surroundings.ts';
