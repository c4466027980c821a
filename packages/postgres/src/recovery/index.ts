export * from './catalogue.ts';
export * from './choose.ts';
export { type Replay, ReplayLog } from './replay-log.ts';
export * from './repository.ts';
export * from './verdict.ts';
export { type ArchiveHole, archiveHole } from './whole.ts';
