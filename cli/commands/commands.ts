import { Command } from 'commander';
import { version } from '#proto/process/version.ts';
import { print, printError } from '../terminal/terminal.ts';

/**
 * The commands of `terrace`, each in a file of its name in a folder for its purpose: run/ the processes of a layer,
 * observe/ a running layer, content/ what is in it, sync/ with the parent, accounts/ of clients and children, upkeep/
 * of the stored content.
 * `gc` and `scrub` share maintenance.ts, `pause` and `resume` share pause.ts, and hash.ts is the action of
 * `terrace token hash`. `add…Command` of a file declares the command on commander, with its options and its action.
 * command-line.ts runs one command line.
 *
 * Grammar: what is about the layer itself is a verb (`terrace sync`); where a noun has several verbs, they follow it
 * (`terrace token create`).
 */

type Define = (program: Command) => void;

/**
 * The commands by the heading in the help, in its order. Loaded on demand, as loading takes the largest part of a
 * start.
 */
const groups: Record<string, Record<string, () => Promise<Define>>> = {
  'Run a layer:': {
    up: async () => (await import('./run/up.ts')).addUpCommand,
    init: async () => (await import('./run/init.ts')).addInitCommand,
    syncer: async () => (await import('./run/syncer.ts')).addSyncerCommand,
    health: async () => (await import('./run/health.ts')).addHealthCommand,
  },
  'See what it does:': {
    status: async () => (await import('./observe/status.ts')).addStatusCommand,
    events: async () => (await import('./observe/events.ts')).addEventsCommand,
    doctor: async () => (await import('./observe/doctor.ts')).addDoctorCommand,
    replay: async () => (await import('./observe/replay.ts')).addReplayCommand,
  },
  'What is in it:': {
    repositories: async () => (await import('./content/repositories.ts')).addRepositoriesCommand,
    tags: async () => (await import('./content/tags.ts')).addTagsCommand,
    show: async () => (await import('./content/show.ts')).addShowCommand,
  },
  'Synchronize with the parent:': {
    sync: async () => (await import('./sync/sync.ts')).addSyncCommand,
    retry: async () => (await import('./sync/retry.ts')).addRetryCommand,
    pause: async () => (await import('./sync/pause.ts')).addPauseCommand,
    resume: async () => (await import('./sync/pause.ts')).addResumeCommand,
  },
  'Accounts and layers below:': {
    token: async () => (await import('./accounts/token.ts')).addTokenCommand,
    scope: async () => (await import('./accounts/scope.ts')).addScopeCommand,
    child: async () => (await import('./accounts/child.ts')).addChildCommand,
  },
  'Configuration:': {
    iotedge: async () => (await import('./iotedge.ts')).addIotedgeCommand,
  },
  'Upkeep of the content:': {
    gc: async () => (await import('./upkeep/maintenance.ts')).addGcCommand,
    scrub: async () => (await import('./upkeep/maintenance.ts')).addScrubCommand,
    repair: async () => (await import('./upkeep/repair.ts')).addRepairCommand,
    backup: async () => (await import('./upkeep/backup.ts')).addBackupCommand,
    restore: async () => (await import('./upkeep/restore.ts')).addRestoreCommand,
  },
  'This program:': {
    version: async () => (await import('./run/version.ts')).addVersionCommand,
  },
};

/** `terrace` with the named command; with all of them for the help, and for an unknown name. */
export async function programOf(name = ''): Promise<Command> {
  const program = new Command('terrace')
    .description('a connected container registry for layered networks')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print the help')
    .configureHelp({ subcommandTerm })
    .configureOutput({
      writeOut: (text) => print(text.trimEnd()),
      writeErr: (text) => printError(text.trimEnd()),
      // input/usage-errors.ts says more.
      outputError() {},
    })
    .exitOverride();
  const named = name === '--version' || name === '-V' ? 'version' : name;
  const isKnown = Object.values(groups).some((group) => Object.hasOwn(group, named));
  for (const [heading, group] of Object.entries(groups)) {
    program.commandsGroup(heading);
    const loads = Object.entries(group).filter(([known]) => !isKnown || known === named);
    const defines = await Promise.all(loads.map(([, load]) => load()));
    for (const define of defines) define(program);
  }
  program.helpCommand('help [command]', 'print the help of a command');
  return program;
}

/** A command as the help lists it: its name and arguments. */
const subcommandTerm = (command: Command): string =>
  [
    command.name(),
    ...command.registeredArguments.map((one) => (one.required ? `<${one.name()}>` : `[${one.name()}]`)),
  ].join(' ');
