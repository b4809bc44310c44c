import { Fault } from '#proto/contract/fault.ts';
import { passFinished } from '#proto/sync/passes.ts';
import type { Volume } from '#proto/volume/volume.ts';
import type { Context } from '../../process/run.ts';
import type { ParentSettings } from '../link/parent/settings.ts';
import { abortAtClose } from '../parent-tasks/abort-at-close.ts';
import { PassAnnouncements } from '../reconcile/context/announcement.ts';
import type { PassRequest } from '../reconcile/context/pass-request.ts';
import type { LinkUse } from '../schedule/link-schedule.ts';
import type { CurrentPass } from './lanes.ts';
import type { LinkReport } from './link-report.ts';
import { emptyResult, runPass } from './run-pass.ts';
import { Stall } from './stall.ts';
import type { TermState } from './term-tasks.ts';

export type PassInput = {
  request: PassRequest;
  term: TermState;
  /** When the window closes; absent if the pass has no deadline. */
  until?: number;
};

export type PassRunnerDeps = {
  context: Context;
  volume: Volume;
  settings: ParentSettings;
  link: () => LinkUse | undefined;
  linkReport: LinkReport;
  /** Called when a pass has ended and its result is reported; `ok` is absent if it did not compare everything. */
  onEnded: (ok?: boolean) => void;
};

/**
 * Makes passes, each in a scope of its own: its deadline, its stalls, its announcement, its part of the link's state.
 */
export class PassRunner {
  readonly #deps: PassRunnerDeps;
  readonly #announcements: PassAnnouncements;
  readonly #active = new Set<AbortController>();

  constructor(deps: PassRunnerDeps) {
    const { bus, instance } = deps.context;
    this.#deps = deps;
    this.#announcements = new PassAnnouncements(bus, instance);
  }

  /** Makes one pass. @param stopped aborts when this process is no longer the coordinator: no result is reported */
  async run({ request, term: { term, ...observed }, until }: PassInput, stopped: AbortSignal): Promise<void> {
    const { context, volume, settings, link, linkReport, onEnded } = this.#deps;
    const { bus, log, signal } = context;
    const end = new AbortController();
    this.#active.add(end);
    using _closing = abortAtClose(until, link, end);
    using _stall = new Stall(
      bus,
      (reason) => void (reason ? linkReport.stalled(reason) : linkReport.moving()),
    );
    using running = linkReport.begin();
    using announcement = this.#announcements.begin(request, () => running.syncing());
    try {
      await linkReport.written();
      const either = AbortSignal.any([signal, term.signal, stopped, end.signal]);
      const deps = {
        context,
        volume,
        settings,
        term,
        ...observed,
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
      onEnded(request.scope || result.ended ? undefined : result.failed === 0);
    } finally {
      this.#active.delete(end);
    }
  }

  /** Reports a pass whose window closed before it began, if a caller waits for it. */
  skip({ request, link }: CurrentPass): void {
    const { bus } = this.#deps.context;
    if (link && request.asked) bus.publish(passFinished, { ...emptyResult(request), ended: 'window' });
  }

  /** Ends the running passes, because the configuration has changed. */
  interrupt(): void {
    const cause = { detail: { cause: 'configuration' } };
    for (const end of this.#active)
      end.abort(new Fault('unavailable', 'the configuration has changed', cause));
  }
}
