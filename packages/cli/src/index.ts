/** What the scenarios and measurements use of the command line's insides. */
export { stateFolder } from './connection.ts';
export { CliError, exitCodes } from './errors.ts';
export { ClusterKind, type ClusterObject, OperationKind, type OperationObject } from './kinds.ts';
export { type BringUpOptions, bringUp, findPostgres, type LocalWorld } from './local-mode.ts';
export { buildPayload } from './payload.ts';
export { makeProgram } from './program.ts';
export { waitUntilReady } from './ready.ts';
export { waitFor } from './wait.ts';
