import { CONFIGURATION_KEY, configuration } from '#proto/document/configuration.ts';
import { workloadOf } from '#proto/iot-edge/workload.ts';
import { passFinished } from '#proto/sync/passes.ts';
import { type Direction, transferBlob } from '#proto/sync/transfers.ts';
import { RESERVE } from '#proto/volume/space.ts';
import { Volume } from '#proto/volume/volume.ts';
import { type Context, ended } from '../process/run.ts';
import { type Coordinator, coordinate } from './coordinator/coordinator.ts';
import { SharedBandwidth } from './link/bandwidth/bandwidth.ts';
import { TrustBundle } from './link/login/trust-bundle.ts';
import { ParentSettings } from './link/parent/settings.ts';
import { Alarm } from './schedule/alarm.ts';
import { linkAt } from './schedule/link-schedule.ts';
import { PassCancellation } from './transfer/pass-cancellation.ts';
import { SendRate } from './transfer/send-rate.ts';
import { SyncerActivity } from './transfer/syncer-status.ts';
import { transfer } from './transfer/worker.ts';
import { WorkerPool } from './transfer/worker-pool.ts';

/**
 * The syncer: it keeps the layer equal to its parent. Any number of syncers run per layer. Each executes transfer jobs
 * from the queue (`transfer/`), one blob per job. One of them holds the coordinator lease (`leadership/`) and makes the
 * passes.
 *
 * `coordinator/` decides when a pass runs and reports the state of the link; `schedule/` computes windows and due
 * times. A pass (`reconcile/`) compares parent and layer, plans one action per tag, and submits transfer jobs. While it
 * holds the lease, the coordinator also runs `parent-tasks/`: it follows the parent's changes, prefetches, and reports
 * to the parent. `notify/` sends events to webhooks. All traffic to the parent goes through the clients in `link/`.
 */

/**
 * Runs one syncer process: transfers always, passes while it is the coordinator. It begins with the first configuration
 * and ends when the signal of `context` aborts. In a module of IoT Edge, the parent's certificate may be signed by any
 * authority in the trust bundle of the device. Environment: proto/process/environment.ts.
 */
export async function syncer(context: Context): Promise<void> {
  const { bus, log, signal, instance, data, env } = context;
  // Before the first configuration arrives, too.
  context.serves();
  let reserve = RESERVE;
  const volume = new Volume(data, () => reserve);
  const workload = workloadOf(env);
  await using settings = new ParentSettings(
    new SharedBandwidth(bus, instance, log),
    Number(env.TERRACE_STALL_MS) || undefined,
    workload && new TrustBundle(workload, log),
  );
  await using down = new WorkerPool(log);
  await using up = new WorkerPool(log);
  let passSettings = '';
  let coordinator: Coordinator | undefined;
  const { promise: configured, resolve } = Promise.withResolvers<void>();
  const onChange: (() => void)[] = [];
  const unwatch = bus.watch(configuration, CONFIGURATION_KEY, (value) => {
    if (!value) return;
    settings.set(value);
    reserve = value.reserve;
    down.maxConnections = up.maxConnections = value.connections;
    coordinator?.renotify();
    const { parent, repositories, mode, schedule, windowMs } = value;
    const next = JSON.stringify([parent, repositories, mode, schedule, windowMs]);
    if (passSettings !== next) for (const notify of onChange) notify();
    passSettings = next;
    resolve();
  });
  await Promise.race([configured, ended(signal)]);
  if (signal.aborted) return unwatch();

  // Outside the window no connection stays open, not even after a pass that was requested with `now`.
  let linkUsed = true;
  using windowAlarm = new Alarm((now) => {
    const link = settings.hasParent ? linkAt(settings.get(), now) : undefined;
    if (link && !link.usable && linkUsed) settings.rest();
    linkUsed = link?.usable ?? true;
    return link?.until;
  });
  const unlisten = bus.listen(passFinished, () => {
    linkUsed = true;
    windowAlarm.check();
  });
  using cancellation = new PassCancellation(bus);
  await using activity = new SyncerActivity(bus, instance, log);
  const newCoordinator = coordinate(context, volume, settings, activity);
  onChange.push(() => {
    windowAlarm.check();
    newCoordinator.reconfigured();
  });
  coordinator = newCoordinator;
  const { bandwidth } = settings;
  const deps = {
    bus,
    volume,
    parent: async () => (await settings.clients()).parent,
    pushClient: async () => (await settings.clients()).pushClient,
    pace: new SendRate(),
    bandwidth,
    by: instance,
    activity,
    signal,
    log,
  };
  for (const [direction, pool] of Object.entries({ down, up }) as [Direction, WorkerPool][]) {
    const { slots } = pool;
    pool.start((stopped) =>
      bus.work(direction, transferBlob[direction], AbortSignal.any([signal, stopped]), (job) =>
        pool.job(() =>
          cancellation.guard(job, signal, (until) => transfer({ ...deps, slots, signal: until }, job)),
        ),
      ),
    );
  }
  await ended(signal);
  await newCoordinator.ended;
  unlisten();
  unwatch();
}
