export * from './info.ts';
export * from './options.ts';
export {
  BACKREST_ERRORS,
  type BackrestCommand,
  type BackrestFailure,
  BROKEN_CONTENT,
  parseBackrestError,
  runBackrest,
} from './run.ts';
export { endStuck } from './stuck.ts';
