import { basename } from 'node:path';
import { Command } from 'commander';
import { addBackup } from './commands/backup.ts';
import { addCompletion } from './commands/completion.ts';
import { addCreate } from './commands/create.ts';
import { addDelete } from './commands/delete.ts';
import { addDestroy } from './commands/destroy.ts';
import { addDf } from './commands/df.ts';
import { addGet } from './commands/get.ts';
import { addInstall } from './commands/install.ts';
import { addLabel } from './commands/label.ts';
import { addLocal } from './commands/local.ts';
import { addLogs } from './commands/logs.ts';
import { addMarks } from './commands/marks.ts';
import { addPgbench } from './commands/pgbench.ts';
import { addPsql } from './commands/psql.ts';
import { addReport } from './commands/report.ts';
import { addRestart } from './commands/restart.ts';
import { addRestore } from './commands/restore.ts';
import { addScale } from './commands/scale.ts';
import { addShow } from './commands/show.ts';
import { addStatus } from './commands/status.ts';
import { addSwitchover } from './commands/switchover.ts';
import { addTest } from './commands/test.ts';
import { addVersion } from './commands/version.ts';
import { CliError } from './errors.ts';

/** The whole command line. Throws CommanderError instead of ending the process, so that tests can use it. */
export function makeProgram(): Command {
  const called = basename(process.argv[1] ?? '').startsWith('kubectl-pgherd') ? 'kubectl pgherd' : 'pgherd';
  const program = new Command(called);
  program
    .description('Runs PostgreSQL on Kubernetes, and on one machine without it.')
    .configureHelp({ helpWidth: Math.min(process.stdout.columns ?? 80, 100), sortSubcommands: false })
    .showSuggestionAfterError()
    .showHelpAfterError('Add --help for what this command understands.')
    .helpCommand(false)
    .exitOverride()

    .addHelpText(
      'after',
      `
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 refused,
5 not done in time, 6 the API server is not reached, 7 not confirmed.`,
    );
  for (const add of [
    addCreate,
    addGet,
    addStatus,
    addShow,
    addTest,
    addPsql,
    addLogs,
    addDf,
    addScale,
    addSwitchover,
    addRestart,
    addDestroy,
    addMarks,
    addPgbench,
    addRestore,
    addLabel,
    addBackup,
    addReport,
    addDelete,
    addInstall,
    addLocal,
    addCompletion,
    addVersion,
  ]) {
    add(program);
  }
  program.hook('preAction', (_, command) => refuseEmpty(command));
  inherit(program);
  return program;
}

/** Commander copies settings only to commands made after they were set, and not all of them. */
function inherit(command: Command): void {
  for (const child of command.commands) {
    child.copyInheritedSettings(command);
    inherit(child);
  }
}

/** A variable of the shell that is not set must not turn a restore to a moment into one to the latest point. */
function refuseEmpty(command: Command): void {
  for (const option of command.options) {
    if (command.getOptionValue(option.attributeName()) !== '') continue;
    throw new CliError('usage', `${option.long ?? option.short} is given nothing.`, {
      hint: 'Give it a value, or leave it out.',
    });
  }
}
