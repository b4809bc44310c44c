import { Fault, toWire } from '#proto/contract/fault.ts';
import { type PassResult, passFinished } from '#proto/sync/passes.ts';
import type { Volume } from '#proto/volume/volume.ts';
import type { Context } from '../../process/run.ts';
import { PassCounters } from '../counters/pass-counters.ts';
import type { DeltaPace } from '../delta/delta-pace.ts';
import type { SyncerSettings } from '../link/parent/settings.ts';
import { announcing, type PassAnnouncement, PassAnnouncements } from '../reconcile/context/announcement.ts';
import type { PassRequest } from '../reconcile/context/pass-request.ts';
import { emptyResult } from '../reconcile/context/pass-stats.ts';
import { abortAtClose } from '../schedule/abort-at-close.ts';
import type { LinkUse } from '../schedule/link-schedule.ts';
import type { CurrentPass } from './lanes.ts';
import type { LinkReport } from './link-report.ts';
import { Stall } from './stall.ts';
import type { TermState } from './term-tasks.ts';
import { tracedPass } from './traced-pass.ts';

export type PassInput = {
  request: PassRequest;
  term: TermState;
  /** When the window closes; absent if the pass has no deadline. */
  until?: number;
};

export type PassRunnerDeps = {
  context: Context;
  volume: Volume;
  settings: SyncerSettings;
  link: () => LinkUse | undefined;
  linkReport: LinkReport;
  deltaPace: DeltaPace;
  /** Called when a pass has ended and its result is reported; `ok` is absent if it did not compare everything. */
  onEnded: (ok?: boolean) => void;
};

/** Makes passes, each with its own deadline, watch for stalls, announcement, and part of the link's state. */
export class PassRunner {
  readonly counters = new PassCounters();
  readonly #deps: PassRunnerDeps;
  readonly #announcements: PassAnnouncements;
  readonly #active = new Set<AbortController>();

  constructor(deps: PassRunnerDeps) {
    const { bus, instance } = deps.context;
    this.#deps = deps;
    this.#announcements = new PassAnnouncements(bus, instance);
  }

  /** Makes one pass. @param stopped aborts when this process is no longer the coordinator: no result is reported */
  async run(input: PassInput, stopped: AbortSignal): Promise<void> {
    const { context, link, linkReport, onEnded } = this.#deps;
    const { request, until } = input;
    const { term } = input.term;
    const { bus, log, signal } = context;
    const end = new AbortController();
    this.#active.add(end);
    using _closing = abortAtClose(until, link, end);
    using _stall = new Stall(
      bus,
      (reason) => void (reason ? linkReport.reportStalled(reason) : linkReport.reportMoving()),
    );
    using running = linkReport.begin();
    using announcement = this.#announcements.begin(request, () => running.reportSyncing());
    try {
      await linkReport.flushed();
      const { interrupted } = link() ?? {};
      const ends = [signal, term.signal, stopped, end.signal, ...(interrupted ? [interrupted] : [])];
      const either = AbortSignal.any(ends);
      const result = await tracedPass(request, () => this.#make(input, announcement, either));
      if (signal.aborted || term.signal.aborted || stopped.aborted) return;
      this.counters.ended(result);
      const { failures: _failures, ...summary } = result;
      const finish = announcement.ended(result);
      log[finish ? 'info' : 'debug']({ ...summary, cause: request.cause }, 'pass ended');
      // The state before the event: a subscriber may read it on receipt.
      await running.ended(result, { isUnscoped: !request.scope, announced: finish !== undefined });
      finish?.();
      onEnded(request.scope || result.ended ? undefined : result.failed === 0);
    } finally {
      this.#active.delete(end);
    }
  }

  /**
   * Makes the pass. An error becomes a failed result.
   * @throws the reason of `signal` if it aborted, unless the reason is a Fault other than `claim-lost`
   */
  async #make(
    { request, term: { term, ...observed }, until }: PassInput,
    announcement: PassAnnouncement,
    signal: AbortSignal,
  ): Promise<PassResult> {
    const { context, volume, settings, linkReport, deltaPace } = this.#deps;
    const { log, instance, layer } = context;
    try {
      const { makePass } = await import('../reconcile/pass.ts');
      const { parent, pushClient, feed, activation, acr, deltas } = await settings.clients();
      const configuration = settings.get();
      deltaPace.use(configuration.parent.url);
      const deps = {
        ...observed,
        bus: announcing(term.bus, announcement),
        announcement,
        volume,
        log,
        parent,
        pushClient: term.fenced(pushClient),
        feed,
        activation,
        acr,
        deltas,
        deltaPace,
        configuration,
        by: instance,
        layer,
        signal,
        lastLeftOut: linkReport.leftOut,
        ...(until !== undefined && { until }),
      };
      return await makePass(deps, request);
    } catch (err) {
      // After a takeover, the new coordinator makes the pass and publishes its result.
      const hasResult = signal.reason instanceof Fault && !Fault.is(signal.reason, 'claim-lost');
      if (signal.aborted && !hasResult) throw signal.reason;
      const { code, message } = toWire(err);
      log.error({ err, pass: request.id }, 'a pass failed');
      const { leftOut } = linkReport;
      const failed = { ...emptyResult(request), failed: 1, failures: [{ code, reason: message }] };
      return { ...failed, ...(leftOut && { leftOut }) };
    }
  }

  /** Reports a pass that did not begin because the link may no longer be used, if a caller waits for it. */
  skip({ request, link }: CurrentPass): void {
    const { bus } = this.#deps.context;
    const ended = link?.paused ? 'paused' : 'window';
    if (link && request.asked) bus.publish(passFinished, { ...emptyResult(request), ended });
  }

  /** Ends the running passes, because the configuration has changed. */
  interrupt(): void {
    const cause = { detail: { cause: 'configuration' } };
    for (const end of this.#active)
      end.abort(new Fault('unavailable', 'the configuration has changed', cause));
  }
}
