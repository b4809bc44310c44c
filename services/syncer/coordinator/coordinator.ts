import { randomUUID } from 'node:crypto';
import { createActor, fromCallback, fromPromise } from 'xstate';
import { Fault } from '#proto/contract/fault.ts';
import type { Repository } from '#proto/oci/names.ts';
import { passFinished, startPass } from '#proto/sync/passes.ts';
import type { Volume } from '#proto/volume/volume.ts';
import type { Context } from '../../process/run.ts';
import { CoordinatorTerm, newTerm } from '../leadership/coordinator-term.ts';
import { Lease } from '../leadership/lease.ts';
import type { Settings } from '../link/parent/settings.ts';
import { closed, closing } from '../parent-tasks/closing.ts';
import { type ParentTasks, startParentTasks } from '../parent-tasks/parent-tasks.ts';
import { PassAnnouncements } from '../reconcile/context/announcement.ts';
import type { PassRequest } from '../reconcile/context/pass-request.ts';
import { AcrChangeScan } from '../reconcile/observe/acr-news.ts';
import { ChangeCursor } from '../reconcile/observe/news.ts';
import { selectionOf } from '../reconcile/select/patterns.ts';
import { type Link, linkAt } from '../schedule/hours.ts';
import type { SyncerActivity } from '../transfer/syncer-status.ts';
import { LinkReport } from './link-report.ts';
import { PassClock } from './pass-clock.ts';
import { nothing, runPass } from './run-pass.ts';
import { Stall } from './stall.ts';
import { syncerMachine } from './syncer.machine.ts';
import { subscribeTriggers } from './triggers.ts';

export type Coordinator = {
  /** Resolves when the lease is given back. */
  ended: Promise<void>;
  /** What passes go by is another now: parent, repositories, mode, schedule or window. */
  reconfigured(): void;
  /** There may be other webhooks now. */
  renotify(): void;
};

/** From the term to the end of the lease: what this process knows of the parent ends with it. */
type Leading = { lead: CoordinatorTerm; changeCursor: ChangeCursor; acrChanges: AcrChangeScan };

/**
 * Makes the passes of the layer for as long as this process holds the lease, and the link may be used: at the lease's
 * beginning, by the clock, after changes of the configuration and of the layer, and when somebody asks. Ends when the
 * process does.
 * @param tell is told when it begins to, and when that has ended
 */
export function coordinate(
  context: Context,
  volume: Volume,
  settings: Settings,
  activity: SyncerActivity,
): Coordinator {
  const { bus, log, instance, layer, signal } = context;
  const times = () => (settings.hasParent ? settings.get() : undefined);
  const link = (): Link | undefined => {
    const found = times();
    return found && linkAt(found, Date.now());
  };
  const leads = () => !lease.ended;
  const linkReport = new LinkReport({ bus, log, by: instance, times, leads });
  const clock = new PassClock({
    times,
    tick: (cause) => want(passRequest(cause)),
    isFollowing: () => leading?.changeCursor.followed === true,
    looked: () => void linkReport.refresh(),
    log,
  });
  let leading: Leading | undefined;
  const announcements = new PassAnnouncements(bus, instance);
  const underWay = new Set<{ asked: PassRequest; end: AbortController }>();

  const pass = async (asked: PassRequest, stopped: AbortSignal): Promise<void> => {
    const at = link();
    const now = leading;
    if (!at || !now) return;
    const { lead } = now;
    if (!at.usable && !asked.now) {
      // The window closed while it waited.
      if (asked.asked) bus.publish(passFinished, { ...nothing(asked), ended: 'window' });
      return;
    }
    const end = new AbortController();
    const own = { asked, end };
    underWay.add(own);
    const until = asked.now ? undefined : at.until;
    using _closing = closing(until, link, end);
    using _stall = new Stall(
      bus,
      (reason) => void (reason ? linkReport.stalled(reason) : linkReport.moving()),
    );
    using running = linkReport.begin();
    using announcement = announcements.begin(asked, () => running.syncing());
    try {
      await linkReport.written();
      const either = AbortSignal.any([signal, lead.signal, stopped, end.signal]);
      const deps = {
        context,
        volume,
        settings,
        ...now,
        announcement,
        signal: either,
        ...(until !== undefined && { until }),
      };
      const result = await runPass(deps, asked);
      if (signal.aborted || lead.signal.aborted || stopped.aborted) return;
      const { failures: _failures, ...told } = result;
      const finish = announcement.ended(result);
      log[finish ? 'info' : 'debug']({ ...told, cause: asked.cause }, 'pass ended');
      // The state first: whoever hears of the end may ask for it.
      await running.ended(result, { whole: !asked.scope, announced: finish !== undefined });
      finish?.();
      others?.passed();
      if (!asked.scope && !result.ended) clock.passed(result.failed === 0);
    } finally {
      underWay.delete(own);
    }
  };

  const actor = createActor(
    syncerMachine.provide({
      actors: {
        makePass: fromPromise<void, PassRequest>(({ input, signal: stopped }) => pass(input, stopped)),
        takeTerm: fromPromise<void>(async ({ signal: stopped }) => {
          const term = await newTerm(context, lease, stopped);
          stopped.throwIfAborted();
          const lead = new CoordinatorTerm(bus, term, lease, ({ message }) => {
            log.info(
              { term, reason: message },
              'what this coordinator began is for another one to go on with',
            );
            lease.invalidate();
          });
          leading = {
            lead,
            changeCursor: new ChangeCursor(lead.bus),
            acrChanges: new AcrChangeScan(lead.bus),
          };
        }),
        clock: fromCallback(() => {
          clock.start();
          return () => clock.stop();
        }),
      },
    }),
  );
  const want = (wanted: PassRequest) => {
    if (wanted.now || link()?.usable) actor.send({ type: 'pass.wanted', pass: wanted });
  };
  const ends: (() => void)[] = [];
  let others: ParentTasks | undefined;
  actor.on('leading', () => {
    activity.coordinates(true);
    ends.push(() => activity.coordinates(false));
    ends.push(settings.bandwidth.lead());
    const { changeCursor, lead } = leading as Leading;
    const { bus: fencedBus, signal: term } = lead;
    const follows = {
      tell: () => want(passRequest('parent')),
      unchanged: () => want(passRequest('schedule')),
      unreachable: (reason: string) => void linkReport.unreachable(reason),
      isAway: () => linkReport.isAway,
    };
    const deps = {
      bus,
      log,
      instance,
      layer,
      fencedBus,
      volume,
      settings,
      changeCursor,
      link,
      activity,
      ...follows,
    };
    others = startParentTasks(deps, AbortSignal.any([signal, term]));
    const unserve = bus.serve(startPass, async ({ full, now }) => {
      settings.get();
      const at = link();
      if (!now && at && !at.usable) throw closed(at);
      want({ ...passRequest('request'), asked: true, ...(full && { full }), ...(now && { now }) });
      const { current, next } = actor.getSnapshot().context.whole;
      const named = (next ?? current)?.id;
      if (!named) throw new Fault('unavailable', 'the coordinator changes: ask again');
      return { pass: named };
    });
    ends.push(() => void unserve());
  });
  actor.on('following', () => {
    leading?.lead.end();
    leading = undefined;
    for (const one of ends.splice(0)) one();
  });
  const goesUp = (repository: Repository) => {
    const found = times();
    if (found?.mode !== 'ReadWrite' || !link()?.live) return false;
    return selectionOf(found.repositories, repository) !== undefined;
  };
  const unsubscribe = subscribeTriggers({ bus, goesUp, want });
  actor.subscribe({ error: (err) => log.error({ err }, 'the coordinator failed') });
  actor.start();
  const lease = new Lease(bus, instance, log, (held) => {
    if (!held) return actor.send({ type: 'lease.lost' });
    const at = link();
    void linkReport.takeOver();
    if (at && !at.usable) void linkReport.resting(at.until);
    actor.send({ type: 'lease.gained', ...(at?.usable && { pass: passRequest('start') }) });
  });
  return {
    ended: lease.keep(signal).then(() => {
      unsubscribe();
      actor.stop();
      return others?.ended;
    }),
    renotify: () => others?.renotify(),
    reconfigured: () => {
      others?.reconfigured();
      clock.changed();
      const before = [...underWay];
      // What somebody asked for is asked for still.
      const full = before.some(({ asked }) => asked.full);
      const now = before.some(({ asked }) => asked.now);
      want({ ...passRequest('configuration'), ...(full && { full }), ...(now && { now }) });
      const cause = { detail: { cause: 'configuration' } };
      for (const { end } of before)
        end.abort(new Fault('unavailable', 'the configuration has changed', cause));
    },
  };
}

const passRequest = (cause: string): PassRequest => ({ id: randomUUID(), cause });
