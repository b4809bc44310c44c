import type { Command } from 'commander';

/**
 * The commands of `terrace`, each in a file of its name in a folder for its purpose: run/ the processes of a layer,
 * observe/ a running layer, content/ what is in it, sync/ with the parent, accounts/ of clients and children,
 * configuration/ documents, upkeep/ of the stored content, archive/ the same as files. `pause` and `resume` share
 * pause.ts, and hash.ts is the action of `terrace token hash`. `add…Command` of a file declares the command on
 * commander, with its options and its action. program.ts makes one program of them; command-line.ts runs it.
 *
 * Grammar: what is about the layer itself is a verb (`terrace sync`); where a noun has several verbs, they follow it
 * (`terrace token create`).
 */

export type Define = (program: Command) => void;

/**
 * The commands by the heading in the help, in its order. Loaded on demand, as loading takes the largest part of a
 * start.
 */
export const groups: Record<string, Record<string, () => Promise<Define>>> = {
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
    logs: async () => (await import('./observe/logs.ts')).addLogsCommand,
    replay: async () => (await import('./observe/replay.ts')).addReplayCommand,
  },
  'What is in it:': {
    repositories: async () => (await import('./content/repositories.ts')).addRepositoriesCommand,
    tags: async () => (await import('./content/tags.ts')).addTagsCommand,
    show: async () => (await import('./content/show.ts')).addShowCommand,
    inventory: async () => (await import('./content/inventory.ts')).addInventoryCommand,
  },
  'Synchronize with the parent:': {
    sync: async () => (await import('./sync/sync.ts')).addSyncCommand,
    transfers: async () => (await import('./sync/transfers.ts')).addTransfersCommand,
    delta: async () => (await import('./sync/delta.ts')).addDeltaCommand,
    retry: async () => (await import('./sync/retry.ts')).addRetryCommand,
    pause: async () => (await import('./sync/pause.ts')).addPauseCommand,
    resume: async () => (await import('./sync/pause.ts')).addResumeCommand,
  },
  'Carry it as files:': {
    export: async () => (await import('./archive/export.ts')).addExportCommand,
    import: async () => (await import('./archive/import.ts')).addImportCommand,
  },
  'Accounts and layers below:': {
    token: async () => (await import('./accounts/token.ts')).addTokenCommand,
    scope: async () => (await import('./accounts/scope.ts')).addScopeCommand,
    child: async () => (await import('./accounts/child.ts')).addChildCommand,
  },
  'Configuration:': {
    config: async () => (await import('./configuration/config.ts')).addConfigCommand,
    iotedge: async () => (await import('./configuration/iotedge.ts')).addIotedgeCommand,
  },
  'Upkeep of the content:': {
    gc: async () => (await import('./upkeep/gc.ts')).addGcCommand,
    scrub: async () => (await import('./upkeep/scrub.ts')).addScrubCommand,
    repair: async () => (await import('./upkeep/repair.ts')).addRepairCommand,
    backup: async () => (await import('./upkeep/backup.ts')).addBackupCommand,
    rollback: async () => (await import('./upkeep/rollback.ts')).addRollbackCommand,
    restore: async () => (await import('./upkeep/restore.ts')).addRestoreCommand,
  },
  'This program:': {
    version: async () => (await import('./run/version.ts')).addVersionCommand,
    completion: async () => (await import('./run/completion.ts')).addCompletionCommand,
    man: async () => (await import('./run/man.ts')).addManCommand,
    complete: async () => (await import('./run/completion.ts')).addCompleteCommand,
  },
};
