import { layerInstance } from '#proto/accounts/children.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import { artifactOf, selects } from '#proto/document/notification-patterns.ts';
import type { Volume } from '#proto/volume/volume.ts';
import type { Context } from '../../process/run.ts';
import type { DeltaPace } from '../delta/delta-pace.ts';
import type { FencedBus } from '../leadership/fenced-bus.ts';
import type { SyncerSettings } from '../link/parent/settings.ts';
import { WebhookTasks } from '../notify/webhooks.ts';
import type { ChangeCursor } from '../reconcile/observe/change-cursor.ts';
import type { LinkUse } from '../schedule/link-schedule.ts';
import type { DeltaApplier } from '../transfer/pieces/delta-applier.ts';
import type { SyncerActivity } from '../transfer/syncer-status.ts';
import { awaitParent } from './await-parent.ts';
import { follow } from './follower.ts';
import { reportHistory } from './history-reporter.ts';
import { readLayerReports } from './layer-report.ts';
import { Prefetcher } from './prefetcher.ts';
import { reportRestored } from './restored-changes.ts';

/**
 * Tasks of the coordinator between passes. They start with its term and end with it.
 *
 * `follower.ts` keeps a long poll open at the parent's change feed and requests a pass when something changed there.
 * `prefetcher.ts` pulls content that the parent is still receiving. `history-reporter.ts` sends the events and the
 * status of this layer and the layers below to the parent. `await-parent.ts` pings a parent, of any kind, that a pass
 * could not reach. `restored-changes.ts` finds out what a restore from a backup has lost. Each task backs off after
 * failures (`wait-after.ts`), throttles its polls (`answer-pace.ts`), and uses the link only in its window. Webhooks
 * (`notify/`) run here, too, with a parent or without.
 */

export type ParentTasksDeps = Pick<Context, 'bus' | 'log' | 'instance' | 'layer'> & {
  /** The bus with the term of this process. */
  fencedBus: FencedBus;
  volume: Volume;
  settings: SyncerSettings;
  changeCursor: ChangeCursor;
  link: () => LinkUse | undefined;
  activity: SyncerActivity;
  deltaPace: DeltaPace;
  applier: DeltaApplier;
  coordinator: PassCoordinator;
};

/** What the tasks report to the coordinator, and ask it. */
export type PassCoordinator = {
  /** Called when the parent reports changes, or answers again. */
  requestPass: () => void;
  /** Called when the parent has just reported that nothing is new. */
  unchanged: () => void;
  /** Called when the parent does not answer. */
  reportUnreachable: (reason: string) => void;
  /** Whether the last pass could not reach the parent. */
  isUnreachable: () => boolean;
};

export type ParentTasks = {
  /** To be called when the parent or the selections may have changed. */
  reconfigured(): void;
  /** To be called when a pass has ended. */
  passEnded(): void;
  /** To be called when the webhooks may have changed. */
  renotify(): void;
  /** Resolves when prefetching and webhooks have ended. */
  ended: Promise<void>;
};

/** Starts all tasks. They end when `signal` aborts. */
export function startParentTasks(deps: ParentTasksDeps, signal: AbortSignal): ParentTasks {
  const { bus, log, instance, settings, changeCursor, link, coordinator } = deps;
  const feed = async () => (await settings.clients()).feed;
  const prefetcher = new Prefetcher({ ...deps, by: instance });
  // A stored cursor proves that the parent is a Terrace, also after a restart.
  const reports = async () => {
    const clients = await settings.clients();
    return changeCursor.cursor !== undefined || clients.feed.hasAnswered ? clients.reports : undefined;
  };
  const identity = () => bus.call(layerInstance, {});
  void follow({ ...deps, ...coordinator, feed, prefetcher, identity }, signal);
  const isReported = (event: Envelope) => {
    const { parent } = settings.get().notifications;
    const artifact = parent && artifactOf(event);
    return !artifact || selects(parent, artifact);
  };
  const layers = () => readLayerReports(bus, settings.get());
  const passListeners = new Set<() => void>();
  const onPass = (listener: () => void) => {
    passListeners.add(listener);
    return () => void passListeners.delete(listener);
  };
  const parent = async () => (await settings.clients()).parent;
  void awaitParent({ ...deps, ...coordinator, parent, onPass }, signal);
  void reportHistory(
    {
      bus,
      onPass,
      reports,
      link,
      identity,
      layers,
      known: () => changeCursor.known,
      isReported,
      log,
    },
    signal,
  );
  void reportRestored(
    {
      ...{ bus, reports, link, onPass, log },
      hasParent: () => settings.hasParent,
      layer: () => settings.get().name,
    },
    signal,
  );
  const webhooks = new WebhookTasks({ ...deps, receivers: () => settings.receivers }, signal);
  return {
    passEnded: () => {
      for (const listener of passListeners) listener();
    },
    reconfigured: () => prefetcher.reconfigured(),
    renotify: () => webhooks.reconfigured(),
    ended: prefetcher.run(signal).then(() => webhooks.ended()),
  };
}
