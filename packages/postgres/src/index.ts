export {
  type ControlData,
  isCleanShutdown,
  parseControlData,
  readControlData,
  STANDBY_MINIMUMS,
} from './control-data.ts';
export { type InitdbOptions, initdbArgs, needsFreshCopy, parseRewind, type RewindResult } from './copy.ts';
export { crashSyncArgs } from './crash-sync.ts';
export { certainDeath, processesIn } from './death.ts';
export { PostgresError, type PostgresErrorCode } from './errors.ts';
export { closeFolder, configPath, privateFolder, removeDurable, writeDurable } from './files.ts';
export { compareLsn, diffLsn, formatLsn, type Lsn, maxLsn, parseLsn, walFileName } from './lsn.ts';
export { missingParts } from './parts.ts';
export * from './pgbackrest/index.ts';
export { openPostgres, Postgres, type PostgresOptions } from './postgres.ts';
export { serverAnswers } from './probe.ts';
export { currentTimeline } from './promote.ts';
export * from './recovery/index.ts';
export type { ServerExit, ServerState, StopOptions } from './server.ts';
export { LogParser, type LogRecord, logSettings, plainLine } from './server-log.ts';
export {
  conninfo,
  quoteSetting,
  type RoleSettings,
  renderSettings,
  type Settings,
  unlockAutoConf,
} from './settings.ts';
export { openSession, quoteIdent, quoteLiteral, type Row, type Session, type SessionOptions } from './sql.ts';
export { replayedFile } from './standstill.ts';
export {
  dropReservations,
  highestHistory,
  historyName,
  parseHistory,
  readHistory,
  reserveTimelines,
  type TimelineSwitch,
} from './timeline.ts';
export { type Logger, onLines, runTool, toolEnv, toolPath } from './tool.ts';
export { refusals } from './trial.ts';
export { binaryVersion, dataVersion, findBinaries, parseVersion } from './version.ts';
export { wakeReceiver } from './wake.ts';
export { type Usage, type VolumeLevel, volumeLevel, volumeUsage, walUsage } from './wal-usage.ts';
