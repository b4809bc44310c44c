import type { StateWatcher } from '#proto/bus/roles.ts';
import { CONFIGURATION_KEY, type Configuration, configuration } from '#proto/document/configuration.ts';
import { loadWorkload } from '#proto/iot-edge/load-workload.ts';
import { stopMsOf } from '#proto/process/supervision.ts';
import { deltaJob } from '#proto/sync/delta-jobs.ts';
import { passFinished } from '#proto/sync/passes.ts';
import { type Direction, transferBlob } from '#proto/sync/transfers.ts';
import { RESERVE } from '#proto/volume/space.ts';
import { Volume } from '#proto/volume/volume.ts';
import { type Context, ended } from '../process/run.ts';
import { coordinate } from './coordinator/coordinator.ts';
import { SavedTotals } from './counters/saved-totals.ts';
import { DeltaApplications } from './delta/jobs/delta-applications.ts';
import type { DeltaSettings } from './delta/jobs/delta-deps.ts';
import { DeltaJobs } from './delta/jobs/delta-jobs.ts';
import { applyWaitMs } from './delta/worth.ts';
import { PlainBlobs } from './frames/frames.ts';
import { SharedBandwidth } from './link/bandwidth/bandwidth.ts';
import { TrustBundle } from './link/login/trust-bundle.ts';
import { SyncerSettings } from './link/parent/settings.ts';
import { Alarm } from './schedule/alarm.ts';
import { linkAt } from './schedule/link-schedule.ts';
import { PauseWatch } from './schedule/pause-watch.ts';
import { readSyncMetrics } from './sync-metrics.ts';
import { FailedDeltas } from './transfer/deltas/failed-deltas.ts';
import { OfferedDeltas } from './transfer/deltas/offered-deltas.ts';
import { SendRate } from './transfer/pace/send-rate.ts';
import { PassCancellation } from './transfer/pass-cancellation.ts';
import { SyncerActivity } from './transfer/syncer-status.ts';
import { runDownload, runUpload } from './transfer/worker.ts';
import { WorkerPool } from './transfer/worker-pool.ts';

/**
 * The syncer: it keeps the layer equal to its parent. Any number of syncers run per layer. Each executes transfer jobs
 * from the queue (`transfer/`), one blob per job. One of them holds the coordinator lease (`leadership/`) and makes the
 * passes.
 *
 * `coordinator/` decides when a pass runs and reports the state of the link; `schedule/` computes windows and due
 * times. A pass (`reconcile/`) compares parent and layer, plans one action per tag, and submits transfer jobs. While it
 * holds the lease, the coordinator also runs `parent-tasks/`: it follows the parent's changes, prefetches, and reports
 * to the parent. `delta/` makes and applies deltas. `notify/` sends events to webhooks. All traffic to the parent goes
 * through the clients in `link/`.
 */

/**
 * Runs one syncer process: transfers always, passes while it is the coordinator. It begins with the first configuration
 * and ends when the signal of `context` aborts. In a module of IoT Edge, the parent's certificate may be signed by any
 * authority in the trust bundle of the device. Environment: proto/process/environment.ts.
 */
export async function runSyncer(context: Context): Promise<void> {
  const { bus, log, signal, instance, data, env } = context;
  // Before the first configuration arrives, too.
  context.serves();
  const workload = await loadWorkload(env);
  await using settings = new SyncerSettings(
    new SharedBandwidth(bus, instance, log),
    Number(env.TERRACE_STALL_MS) || undefined,
    workload && new TrustBundle(workload, log),
    log,
  );
  await using down = new WorkerPool(log);
  await using up = new WorkerPool(log);
  const inForce = followConfiguration(bus, settings, [down, up]);
  const volume = new Volume(data, inForce.reserve);
  using pause = new PauseWatch(bus, log);
  await Promise.race([Promise.all([inForce.received, pause.known]), ended(signal)]);
  if (signal.aborted) return inForce.unwatch();

  // While the link may not be used, no connection stays open, not even after a pass that was requested with `now`.
  let linkUsed = true;
  using windowAlarm = new Alarm((now) => {
    const link = settings.hasParent ? linkAt({ ...settings.get(), paused: pause.current }, now) : undefined;
    if (link && !link.usable && linkUsed) settings.closeIdle();
    linkUsed = link?.usable ?? true;
    return link?.until;
  });
  const unlisten = bus.listen(passFinished, () => {
    linkUsed = true;
    windowAlarm.check();
  });
  using cancellation = new PassCancellation(bus);
  using offered = new OfferedDeltas(bus);
  await using activity = new SyncerActivity(bus, instance, log, settings.bandwidth, new SavedTotals(bus));
  const deltaDeps = {
    ...{ bus, volume, data, env, by: instance, log },
    settings: inForce.deltas,
    counters: activity.counters.deltas,
  };
  const applier = new DeltaApplications(deltaDeps);
  const coordinator = coordinate({ context, volume, settings, pause, activity, applier });
  pause.onChange(() => {
    windowAlarm.check();
    coordinator.repaused();
  });
  inForce.onChange((isForPasses) => {
    coordinator.renotify();
    if (!isForPasses) return;
    windowAlarm.check();
    coordinator.reconfigured();
  });
  const { bandwidth } = settings;
  context.measure(async () => ({
    sync: await readSyncMetrics(settings, coordinator.passes, activity.counters),
  }));
  const deltaJobs = new DeltaJobs(deltaDeps, applier);
  // One of each kind at a time: there are few processors.
  const deltaWork = (['make', 'apply'] as const).map((kind) =>
    bus.work<(typeof deltaJob)[typeof kind]['body']>(kind, deltaJob[kind], signal, (job) =>
      deltaJobs.run(job, signal),
    ),
  );
  const deps = {
    bus,
    volume,
    applier,
    deltas: async () => (await settings.clients()).deltas.source(),
    pusher: async () => (await settings.clients()).deltas,
    applyMs: (blobMs?: number) => {
      const { mode, timeMs } = inForce.deltas();
      return applyWaitMs(mode, timeMs, blobMs);
    },
    parent: async () => (await settings.clients()).parent,
    pushClient: async () => (await settings.clients()).pushClient,
    pace: new SendRate(),
    plainBlobs: new PlainBlobs(),
    failedDeltas: new FailedDeltas(),
    offered,
    bandwidth,
    by: instance,
    activity,
    signal,
    // The other half is for what follows the last answer.
    graceMs: stopMsOf(env) / 2,
    log,
  };
  const run = { down: runDownload, up: runUpload };
  for (const [direction, pool] of Object.entries({ down, up }) as [Direction, WorkerPool][]) {
    const { slots } = pool;
    pool.start((stopped) =>
      bus.work(direction, transferBlob[direction], AbortSignal.any([signal, stopped]), (job) =>
        pool.job((aside) =>
          cancellation.guard(job, AbortSignal.any([signal, pause.signal]), (jobSignal) =>
            run[direction]({ ...deps, slots, aside, signal: jobSignal }, job),
          ),
        ),
      ),
    );
  }
  await ended(signal);
  await Promise.all([coordinator.ended, ...deltaWork]);
  unlisten();
  inForce.unwatch();
}

/** Until the first configuration. */
const NO_DELTAS = { mode: 'off' as const, scratch: 0, timeMs: 0 };

type InForce = {
  /** Resolves with the first configuration. */
  received: Promise<void>;
  /** Bytes to keep free on the data volume. */
  reserve(): number;
  deltas(): DeltaSettings;
  /** Sets the callback for further ones. `isForPasses`: fields have changed on which the passes depend. */
  onChange(changed: (isForPasses: boolean) => void): void;
  unwatch(): void;
};

/** Applies each configuration to the settings and the pools. */
function followConfiguration(bus: StateWatcher, settings: SyncerSettings, pools: WorkerPool[]): InForce {
  const { promise: received, resolve } = Promise.withResolvers<void>();
  let reserve = RESERVE;
  let delta: Configuration['delta'] | undefined;
  let takesPushes = false;
  let before = '';
  let changed = (_isForPasses: boolean) => {};
  const unwatch = bus.watch(configuration, CONFIGURATION_KEY, (value) => {
    if (!value) return;
    settings.set(value);
    reserve = value.reserve;
    delta = value.delta;
    takesPushes = value.mode === 'ReadWrite';
    for (const pool of pools) pool.maxConnections = value.connections;
    const { parent, repositories, mode, schedule, windowMs } = value;
    const forPasses = JSON.stringify([parent, repositories, mode, schedule, windowMs]);
    changed(forPasses !== before);
    before = forPasses;
    resolve();
  });
  return {
    received,
    reserve: () => reserve,
    deltas: () => ({ ...(delta ?? NO_DELTAS), reserve, takesPushes }),
    onChange(call) {
      changed = call;
    },
    unwatch,
  };
}
