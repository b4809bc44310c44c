import { createActor, fromCallback, fromPromise } from 'xstate';
import { comparisonScope } from '#proto/document/comparison-scope.ts';
import type { Repository } from '#proto/oci/names.ts';
import { selectionOf } from '#proto/oci/repository-pattern.ts';
import type { ScheduleTimes } from '#proto/schedule/window.ts';
import type { Volume } from '#proto/volume/volume.ts';
import type { Context } from '../../process/run.ts';
import type { PassCounters } from '../counters/pass-counters.ts';
import { DeltaPace } from '../delta/delta-pace.ts';
import { CoordinatorLease } from '../leadership/lease.ts';
import type { SyncerSettings } from '../link/parent/settings.ts';
import { newRequest, type PassRequest } from '../reconcile/context/pass-request.ts';
import { type LinkUse, linkAt } from '../schedule/link-schedule.ts';
import type { PauseWatch } from '../schedule/pause-watch.ts';
import type { DeltaApplier } from '../transfer/pieces/delta-applier.ts';
import type { SyncerActivity } from '../transfer/syncer-status.ts';
import { LinkReport } from './link-report.ts';
import { PassClock } from './pass-clock.ts';
import { type PassInput, PassRunner } from './pass-runner.ts';
import { isFollowing, requestedPass, syncerMachine } from './syncer.machine.ts';
import { type TermState, TermTasks, takeTermState } from './term-tasks.ts';
import { subscribeTriggers } from './triggers.ts';

/**
 * When passes run, and the state of the link that follows from them.
 *
 * `coordinate` runs one coordinator machine (`syncer.machine.ts`) per process, and connects it with what acts for it.
 * The machine holds the term, the schedule and the requests for passes, in two lanes (`lanes.ts`). It takes a term from
 * storage once the lease is held (`term-tasks.ts`, which also runs what lasts as long as the term), and then makes
 * passes: on gaining the lease, by the clock (`pass-clock.ts`), after events in the layer (`triggers.ts`), after a
 * change of the configuration, after changes at the parent, and on request. `pass-runner.ts` gives each pass its
 * deadline and its announcement, makes it for the term (`../reconcile/pass.ts`) and turns an error into its result;
 * `stall.ts` detects one that makes no progress. `link-report.ts` publishes the state of the link, which
 * `link-state.ts` derives from the results. Losing the lease aborts the running passes and everything else that began
 * with the term.
 */

export type Coordinator = {
  readonly passes: PassCounters;
  /** Resolves when the lease is released and the tasks of the term have ended. */
  ended: Promise<void>;
  /** To be called when the parent, the repositories, the mode, the schedule or the window changed. */
  reconfigured(): void;
  /** To be called when the link was paused or resumed. */
  repaused(): void;
  /** To be called when the webhooks may have changed. */
  renotify(): void;
};

type CoordinatorDeps = {
  context: Context;
  volume: Volume;
  settings: SyncerSettings;
  pause: PauseWatch;
  activity: SyncerActivity;
  applier: DeltaApplier;
};

/** Makes the passes of the layer while this process holds the lease. Ends when the signal of `context` aborts. */
export function coordinate({
  context,
  volume,
  settings,
  pause,
  activity,
  applier,
}: CoordinatorDeps): Coordinator {
  const { bus, log, instance, signal } = context;
  const times = () => (settings.hasParent ? { ...settings.get(), paused: pause.current } : undefined);
  const link = (): LinkUse | undefined => {
    const current = times();
    return current && { ...linkAt(current, Date.now()), interrupted: pause.signal };
  };
  const requestPass = (pass: PassRequest) => actor.send({ type: 'pass.wanted', pass });
  const lease = new CoordinatorLease(bus, instance, log, (held) =>
    actor.send(held ? { type: 'lease.gained', pass: newRequest('start') } : { type: 'lease.lost' }),
  );
  const deltaPace = new DeltaPace({
    limit: () => settings.bandwidth.rate,
    timeMs: () => (settings.hasParent ? settings.get().delta.timeMs : undefined),
  });
  const linkReport = new LinkReport({
    bus,
    log,
    by: instance,
    times,
    rate: () => deltaPace.rate,
    scope: () => (settings.hasParent ? comparisonScope(settings.get()) : ''),
    isCoordinator: () => !lease.ended,
  });
  const clock = new PassClock({
    times,
    tick: (cause) => requestPass(newRequest(cause)),
    isFollowing: () => isFollowing(actor.getSnapshot()),
    onCheck: () => void linkReport.refresh(),
    log,
  });
  const shared = { context, volume, settings, link, linkReport, deltaPace };
  const termTasks = new TermTasks({
    ...shared,
    activity,
    applier,
    requestPass,
    requestedPass: (isScoped) => requestedPass(actor.getSnapshot(), isScoped),
  });
  const onEnded = (ok?: boolean) => {
    termTasks.parentTasks?.passEnded();
    if (ok !== undefined) clock.passEnded(ok);
  };
  const passes = new PassRunner({ ...shared, onEnded });

  const machine = syncerMachine.provide({
    actors: {
      makePass: fromPromise<void, PassInput>(({ input, signal: stopped }) => passes.run(input, stopped)),
      takeTerm: fromPromise<TermState>(({ signal: stopped }) => takeTermState(context, lease, stopped)),
      termTasks: fromCallback<{ type: never }, { term: TermState }>(({ input }) =>
        termTasks.start(input.term),
      ),
      clock: fromCallback(() => {
        clock.start();
        return () => clock.stop();
      }),
    },
  });
  const actor = createActor(machine, { input: { times: plainTimes(times()) } });
  actor.on('lease.gained', ({ link: at }) => {
    void linkReport.takeOver().then(() => deltaPace.inherit(linkReport.rate));
    if (at?.paused) void linkReport.refresh();
    else if (at && !at.usable) void linkReport.reportOutsideWindow(at.until);
  });
  actor.on('pass.skipped', ({ pass }) => passes.skip(pass));
  actor.on('passes.interrupted', () => passes.interrupt());
  actor.subscribe({ error: (err) => log.error({ err }, 'the coordinator failed') });

  const isPushedAtOnce = (repository: Repository) => {
    const current = times();
    if (current?.mode !== 'ReadWrite' || !link()?.live) return false;
    return selectionOf(current.repositories, repository) !== undefined;
  };
  const unsubscribe = subscribeTriggers({ bus, isPushedAtOnce, requestPass });
  actor.start();
  return {
    passes: passes.counters,
    ended: lease.keep(signal).then(() => {
      unsubscribe();
      actor.stop();
      return termTasks.parentTasks?.ended;
    }),
    renotify: () => termTasks.parentTasks?.renotify(),
    reconfigured: () => {
      termTasks.parentTasks?.reconfigured();
      actor.send({ type: 'times.changed', times: plainTimes(times()) });
      clock.changed();
      actor.send({ type: 'passes.replaced', pass: newRequest('configuration') });
    },
    repaused: () => {
      actor.send({ type: 'times.changed', times: plainTimes(times()) });
      clock.changed();
      void linkReport.refresh();
      if (pause.current) return;
      const at = link();
      if (at && !at.usable) void linkReport.reportOutsideWindow(at.until);
      requestPass(newRequest('resume'));
    },
  };
}

/** Without the rest of the configuration. */
const plainTimes = (times: ScheduleTimes | undefined): ScheduleTimes | undefined =>
  times && { schedule: times.schedule, windowMs: times.windowMs, paused: times.paused };
