export { type DatabaseOptions, openDatabase } from './executor.ts';
export { type Layout, podLayout, tlsFiles } from './layout.ts';
export * from './types.ts';
