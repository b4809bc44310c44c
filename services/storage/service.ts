import { personName } from '#proto/bus/caller.ts';
import { storageStarted } from '#proto/content/content-events.ts';
import { clip } from '#proto/contract/clip.ts';
import { CONFIGURATION_KEY, configuration } from '#proto/document/configuration.ts';
import { version } from '#proto/process/version.ts';
import { ClockWatch } from '../process/clock-watch.ts';
import { type Context, ended } from '../process/run.ts';
import { runAs } from './audit/caller-context.ts';
import { BackupSchedule } from './backup/backup-schedule.ts';
import { HistoryRoom } from './history/history-room.ts';
import { Schedules } from './maintenance/schedules.ts';
import { serve } from './serve.ts';
import { Storage } from './storage.ts';

/**
 * The storage service: runs until the signal aborts or storage fails.
 * Environment: `TERRACE_PERSON`, the person who started the layer, for the audit; `TERRACE_ALONE`, no layer runs.
 */
export async function runStorage({
  data,
  bus,
  layer,
  instance,
  log,
  signal,
  serves,
  env,
}: Context): Promise<void> {
  const publish = bus.publish.bind(bus);
  const isAlone = env.TERRACE_ALONE === '1';
  await using storage = await Storage.open({ data, layer, isAlone, version: version(), publish, log });
  const person = personName(env.TERRACE_PERSON ?? '');
  const record = (action: string, reason?: string) =>
    runAs(person ? { user: 'operator', account: '_operator', person } : {}, () =>
      storage.audit.record({ action, outcome: 'said', subject: instance, ...(reason && { reason }) }),
    );
  await record('storage/start');
  // Before the first reply: publish the events that a killed storage left in the outbox.
  bus.publish(storageStarted, {});
  await storage.resume(bus);
  const room = new HistoryRoom({ bus, log });
  await using _served = serve(bus, storage, room);
  serves();
  using _secrets = storage.declared.watchSecrets();
  using schedules = new Schedules(storage, log);
  using backups = new BackupSchedule({ backups: storage.backups, log, now: Date.now });
  using _clock = new ClockWatch((ms) => {
    if (ms > 0) return;
    bus
      .redeliverJobs()
      .catch((err) => log.warn({ err }, 'jobs could not be redelivered after the clock was set'));
  });
  const end = new AbortController();
  const either = AbortSignal.any([signal, end.signal]);
  const age = storage.historyAge(bus);
  const unwatch = bus.watch(configuration, CONFIGURATION_KEY, (value) => {
    if (!value) return;
    schedules.set(value);
    storage.configuration = value;
    backups.set(value.backup);
    age.set(value.eventTtlMs);
    storage.forwarding.configure(value.audit?.syslog);
    storage.archives
      .configure(value)
      .catch((err) => log.warn({ err }, 'keys and exchanges of archives could not be recorded'));
    storage.exchanges.configure(value);
  });
  const watching = Promise.all([
    storage.watchHistory(bus, either),
    room.watch(either),
    age.run(either),
    storage.examineMetadata(either),
    storage.exchanges.run(either),
  ]);
  try {
    await Promise.race([ended(signal), storage.failure]);
  } finally {
    unwatch();
    end.abort();
    await watching;
    storage.abortMaintenance();
    await record('storage/stop', signal.aborted ? clip(String(signal.reason?.message), 400) : 'a failure');
  }
}
