export { Loop, type LoopOptions } from './loop.ts';
export type { PeerTls } from './peers-client.ts';
export { settingsOf } from './settings.ts';
export { ClusterKind, type ClusterObject } from './surroundings.ts';
