export * from './catalogue.ts';
export * from './choose.ts';
export { ReplayLog, type Replay } from './replay-log.ts';
export * from './repository.ts';
export * from './verdict.ts';
