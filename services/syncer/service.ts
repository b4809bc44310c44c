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
import { Settings } from './link/parent/settings.ts';
import { Alarm } from './schedule/alarm.ts';
import { linkAt } from './schedule/hours.ts';
import { WorkerPool } from './transfer/crew.ts';
import { Pace } from './transfer/pace.ts';
import { PassCancellation } from './transfer/recall.ts';
import { SyncerActivity } from './transfer/syncer-status.ts';
import { transfer } from './transfer/worker.ts';

/**
 * Keeps the layer equal to its parent: makes passes if it is the coordinator, and carries out transfers.
 *
 * TERRACE_STALL_MS   a connection to the parent that brings nothing for so long is given up (default 20000)
 * IOTEDGE_WORKLOADURI   and its neighbours, as edgeAgent sets them: the parent may be trusted as the device trusts
 */
export async function syncer(context: Context): Promise<void> {
  const { bus, log, signal, instance, data, env } = context;
  // Also while there is no configuration yet.
  context.serves();
  let reserve = RESERVE;
  const volume = new Volume(data, () => reserve);
  const workload = workloadOf(env);
  await using settings = new Settings(
    new SharedBandwidth(bus, instance, log),
    Number(env.TERRACE_STALL_MS) || undefined,
    workload && new TrustBundle(workload, log),
  );
  await using down = new WorkerPool(log);
  await using up = new WorkerPool(log);
  let print = '';
  let coordinator: Coordinator | undefined;
  const { promise: configured, resolve } = Promise.withResolvers<void>();
  const onChange: (() => void)[] = [];
  const unwatch = bus.watch(configuration, CONFIGURATION_KEY, (value) => {
    if (!value) return;
    settings.set(value);
    reserve = value.reserve;
    down.most = up.most = value.connections;
    coordinator?.renotify();
    const { parent, repositories, mode, schedule, windowMs } = value;
    const next = JSON.stringify([parent, repositories, mode, schedule, windowMs]);
    if (print !== next) for (const tell of onChange) tell();
    print = next;
    resolve();
  });
  await Promise.race([configured, ended(signal)]);
  if (signal.aborted) return unwatch();

  // Outside the window no connection stays open, not even where a pass was asked for all the same.
  let used = true;
  using hours = new Alarm((now) => {
    const link = settings.hasParent ? linkAt(settings.get(), now) : undefined;
    if (link && !link.usable && used) settings.rest();
    used = link?.usable ?? true;
    return link?.until;
  });
  const unlisten = bus.listen(passFinished, () => {
    used = true;
    hours.look();
  });
  using cancellation = new PassCancellation(bus);
  await using activity = new SyncerActivity(bus, instance, log);
  const passes = coordinate(context, volume, settings, activity);
  onChange.push(() => {
    hours.look();
    passes.reconfigured();
  });
  coordinator = passes;
  const { bandwidth } = settings;
  const deps = {
    bus,
    volume,
    parent: async () => (await settings.clients()).parent,
    upward: async () => (await settings.clients()).upward,
    pace: new Pace(),
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
  await passes.ended;
  unlisten();
  unwatch();
}
