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
import { abortAtClose, windowClosed } from '../parent-tasks/abort-at-close.ts';
import { type ParentTasks, startParentTasks } from '../parent-tasks/parent-tasks.ts';
import { PassAnnouncements } from '../reconcile/context/announcement.ts';
import type { PassRequest } from '../reconcile/context/pass-request.ts';
import { AcrChangeScan } from '../reconcile/observe/acr-change-scan.ts';
import { ChangeCursor } from '../reconcile/observe/change-cursor.ts';
import { selectionOf } from '../reconcile/select/patterns.ts';
import { type Link, linkAt } from '../schedule/link-schedule.ts';
import type { SyncerActivity } from '../transfer/syncer-status.ts';
import { LinkReport } from './link-report.ts';
import { PassClock } from './pass-clock.ts';
import { nothing, runPass } from './run-pass.ts';
import { Stall } from './stall.ts';
import { syncerMachine } from './syncer.machine.ts';
import { subscribeTriggers } from './triggers.ts';

/**
 * When passes run, and the state of the link that follows from them.
 *
 * `coordinate` runs one coordinator machine (`syncer.machine.ts`) per process. It tries to hold the lease, takes a term
 * from storage once it does, and then makes passes: on gaining the lease, by the clock (`pass-clock.ts`), after events
 * in the layer (`triggers.ts`), after a change of the configuration, after changes at the parent, and on request.
 * `run-pass.ts` makes one pass for the term and turns an error into its result; `stall.ts` detects one that makes no
 * progress. `link-report.ts` publishes the state of the link, which `link-state.ts` derives from the results. Losing
 * the lease aborts the running passes and everything else that began with the term.
 */

export type Coordinator = {
  /** Resolves when the lease is released and the tasks of the term have ended. */
  ended: Promise<void>;
  /** To be called when the parent, the repositories, the mode, the schedule or the window changed. */
  reconfigured(): void;
  /** To be called when the webhooks may have changed. */
  renotify(): void;
};

/** State of one term. What this process knows of the parent is discarded with it. */
type Leadership = { term: CoordinatorTerm; changeCursor: ChangeCursor; acrChanges: AcrChangeScan };

/** Makes the passes of the layer while this process holds the lease. Ends when the signal of `context` aborts. */
export function coordinate(
  context: Context,
  volume: Volume,
  settings: Settings,
  activity: SyncerActivity,
): Coordinator {
  const { bus, log, instance, layer, signal } = context;
  const times = () => (settings.hasParent ? settings.get() : undefined);
  const link = (): Link | undefined => {
    const current = times();
    return current && linkAt(current, Date.now());
  };
  const isCoordinator = () => !lease.ended;
  const linkReport = new LinkReport({ bus, log, by: instance, times, isCoordinator: isCoordinator });
  const clock = new PassClock({
    times,
    tick: (cause) => requestPass(passRequest(cause)),
    isFollowing: () => leading?.changeCursor.followed === true,
    onCheck: () => void linkReport.refresh(),
    log,
  });
  let leading: Leadership | undefined;
  const announcements = new PassAnnouncements(bus, instance);
  const activePasses = new Set<{ request: PassRequest; end: AbortController }>();

  const pass = async (request: PassRequest, stopped: AbortSignal): Promise<void> => {
    const at = link();
    const held = leading;
    if (!at || !held) return;
    const { term } = held;
    if (!at.usable && !request.now) {
      // The window closed while the request was queued.
      if (request.asked) bus.publish(passFinished, { ...nothing(request), ended: 'window' });
      return;
    }
    const end = new AbortController();
    const active = { request, end };
    activePasses.add(active);
    const until = request.now ? undefined : at.until;
    using _closing = abortAtClose(until, link, end);
    using _stall = new Stall(
      bus,
      (reason) => void (reason ? linkReport.stalled(reason) : linkReport.moving()),
    );
    using running = linkReport.begin();
    using announcement = announcements.begin(request, () => running.syncing());
    try {
      await linkReport.written();
      const either = AbortSignal.any([signal, term.signal, stopped, end.signal]);
      const deps = {
        context,
        volume,
        settings,
        ...held,
        announcement,
        signal: either,
        ...(until !== undefined && { until }),
      };
      const result = await runPass(deps, request);
      if (signal.aborted || term.signal.aborted || stopped.aborted) return;
      const { failures: _failures, ...summary } = result;
      const finish = announcement.ended(result);
      log[finish ? 'info' : 'debug']({ ...summary, cause: request.cause }, 'pass ended');
      // The state before the event: a subscriber may read it on receipt.
      await running.ended(result, { complete: !request.scope, announced: finish !== undefined });
      finish?.();
      parentTasks?.passed();
      if (!request.scope && !result.ended) clock.passed(result.failed === 0);
    } finally {
      activePasses.delete(active);
    }
  };

  const actor = createActor(
    syncerMachine.provide({
      actors: {
        makePass: fromPromise<void, PassRequest>(({ input, signal: stopped }) => pass(input, stopped)),
        takeTerm: fromPromise<void>(async ({ signal: stopped }) => {
          const number = await newTerm(context, lease, stopped);
          stopped.throwIfAborted();
          const term = new CoordinatorTerm(bus, number, lease, ({ message }) => {
            log.info(
              { term: number, reason: message },
              'what this coordinator began is for another one to go on with',
            );
            lease.invalidate();
          });
          leading = {
            term,
            changeCursor: new ChangeCursor(term.bus),
            acrChanges: new AcrChangeScan(term.bus),
          };
        }),
        clock: fromCallback(() => {
          clock.start();
          return () => clock.stop();
        }),
      },
    }),
  );
  const requestPass = (request: PassRequest) => {
    if (request.now || link()?.usable) actor.send({ type: 'pass.wanted', pass: request });
  };
  const cleanups: (() => void)[] = [];
  let parentTasks: ParentTasks | undefined;
  actor.on('leading', () => {
    activity.coordinates(true);
    cleanups.push(() => activity.coordinates(false));
    cleanups.push(settings.bandwidth.serveGrants());
    const { changeCursor, term } = leading as Leadership;
    const { bus: fencedBus } = term;
    const callbacks = {
      requestPass: () => requestPass(passRequest('parent')),
      unchanged: () => requestPass(passRequest('schedule')),
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
      ...callbacks,
    };
    parentTasks = startParentTasks(deps, AbortSignal.any([signal, term.signal]));
    const unserve = bus.serve(startPass, async ({ full, now }) => {
      settings.get();
      const at = link();
      if (!now && at && !at.usable) throw windowClosed(at);
      requestPass({ ...passRequest('request'), asked: true, ...(full && { full }), ...(now && { now }) });
      const { current, next } = actor.getSnapshot().context.main;
      const id = (next ?? current)?.id;
      if (!id) throw new Fault('unavailable', 'the coordinator changes: ask again');
      return { pass: id };
    });
    cleanups.push(() => void unserve());
  });
  actor.on('following', () => {
    leading?.term.end();
    leading = undefined;
    for (const cleanup of cleanups.splice(0)) cleanup();
  });
  const isPushedAtOnce = (repository: Repository) => {
    const current = times();
    if (current?.mode !== 'ReadWrite' || !link()?.live) return false;
    return selectionOf(current.repositories, repository) !== undefined;
  };
  const unsubscribe = subscribeTriggers({ bus, isPushedAtOnce, requestPass });
  actor.subscribe({ error: (err) => log.error({ err }, 'the coordinator failed') });
  actor.start();
  const lease = new Lease(bus, instance, log, (held) => {
    if (!held) return actor.send({ type: 'lease.lost' });
    const at = link();
    void linkReport.takeOver();
    if (at && !at.usable) void linkReport.outsideWindow(at.until);
    actor.send({ type: 'lease.gained', ...(at?.usable && { pass: passRequest('start') }) });
  });
  return {
    ended: lease.keep(signal).then(() => {
      unsubscribe();
      actor.stop();
      return parentTasks?.ended;
    }),
    renotify: () => parentTasks?.renotify(),
    reconfigured: () => {
      parentTasks?.reconfigured();
      clock.changed();
      const interrupted = [...activePasses];
      // Requested options (`full`, `now`) carry over to the pass that replaces the interrupted ones.
      const full = interrupted.some(({ request }) => request.full);
      const now = interrupted.some(({ request }) => request.now);
      requestPass({ ...passRequest('configuration'), ...(full && { full }), ...(now && { now }) });
      const cause = { detail: { cause: 'configuration' } };
      for (const { end } of interrupted)
        end.abort(new Fault('unavailable', 'the configuration has changed', cause));
    },
  };
}

const passRequest = (cause: string): PassRequest => ({ id: randomUUID(), cause });
