export { type Database, type DatabaseView, openDatabase } from './database/index.ts';
export { InstanceError, type InstanceErrorCode } from './errors.ts';
