import { layerInstance } from '#proto/accounts/children.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import { selects } from '#proto/document/notification-patterns.ts';
import { artifactOf } from '#proto/document/notifications.ts';
import type { Volume } from '#proto/volume/volume.ts';
import type { Context } from '../../process/run.ts';
import type { FencedBus } from '../leadership/fenced-bus.ts';
import type { Settings } from '../link/parent/settings.ts';
import { WebhookTasks } from '../notify/webhooks.ts';
import type { ChangeCursor } from '../reconcile/observe/news.ts';
import type { Link } from '../schedule/hours.ts';
import type { SyncerActivity } from '../transfer/syncer-status.ts';
import { awaitParent } from './await-parent.ts';
import { follow } from './follower.ts';
import { layerReports } from './layer-report.ts';
import { Prefetcher } from './prefetcher.ts';
import { report } from './reporter.ts';

export type ParentTasksDeps = Pick<Context, 'bus' | 'log' | 'instance' | 'layer'> & {
  /** With the term of this process. */
  fencedBus: FencedBus;
  volume: Volume;
  settings: Settings;
  changeCursor: ChangeCursor;
  link: () => Link | undefined;
  activity: SyncerActivity;
  /** The parent has something to tell, or answers again. */
  tell: () => void;
  /** The parent has just answered that nothing is new there. */
  unchanged: () => void;
  /** The parent does not answer. */
  unreachable: (reason: string) => void;
  /** The last pass could not reach it. */
  isAway: () => boolean;
};

export type ParentTasks = {
  /** There may be another parent now, and other things to take from it. */
  reconfigured(): void;
  /** A pass has ended. */
  passed(): void;
  /** There may be other webhooks now. */
  renotify(): void;
  /** Resolves when all of it has ended. */
  ended: Promise<void>;
};

/**
 * What goes on between this layer and a parent that is a Terrace beside passes, while this process makes them: what
 * changes there is heard, what is still coming there begins to come here, and what happens here is told; with a parent
 * or without, webhooks are told.
 */
export function startParentTasks(deps: ParentTasksDeps, signal: AbortSignal): ParentTasks {
  const { bus, log, instance, settings, changeCursor, link } = deps;
  const feed = async () => (await settings.clients()).feed;
  const prefetcher = new Prefetcher({ ...deps, by: instance });
  // Who keeps a cursor of it has heard it speak, maybe before a restart.
  const reports = async () => {
    const clients = await settings.clients();
    return changeCursor.cursor !== undefined || clients.feed.spoke ? clients.reports : undefined;
  };
  const identity = () => bus.call(layerInstance, {});
  void follow({ ...deps, feed, prefetcher, identity }, signal);
  const tells = (event: Envelope) => {
    const { parent } = settings.get().notifications;
    const artifact = parent && artifactOf(event);
    return !artifact || selects(parent, artifact);
  };
  const layers = () => layerReports(bus, settings.get());
  const passes = new Set<() => void>();
  const onPass = (heard: () => void) => {
    passes.add(heard);
    return () => void passes.delete(heard);
  };
  void awaitParent({ ...deps, parent: async () => (await settings.clients()).parent, onPass }, signal);
  void report(
    { bus, onPass, reports, link, identity, layers, known: () => changeCursor.known, tells, log },
    signal,
  );
  const webhooks = new WebhookTasks({ ...deps, receivers: () => settings.receivers }, signal);
  return {
    passed: () => {
      for (const heard of passes) heard();
    },
    reconfigured: () => prefetcher.reconfigured(),
    renotify: () => webhooks.reconfigured(),
    ended: prefetcher.follow(signal).then(() => webhooks.ended()),
  };
}
