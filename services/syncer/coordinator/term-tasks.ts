import { Fault } from '#proto/contract/fault.ts';
import { startPass } from '#proto/sync/passes.ts';
import type { Volume } from '#proto/volume/volume.ts';
import type { Context } from '../../process/run.ts';
import type { DeltaPace } from '../delta/delta-pace.ts';
import { CoordinatorTerm, newTerm } from '../leadership/coordinator-term.ts';
import type { CoordinatorLease } from '../leadership/lease.ts';
import type { SyncerSettings } from '../link/parent/settings.ts';
import { type ParentTasks, startParentTasks } from '../parent-tasks/parent-tasks.ts';
import { PassCaches } from '../reconcile/context/pass-caches.ts';
import { newRequest, type PassRequest, retryOf } from '../reconcile/context/pass-request.ts';
import { AcrChangeScan } from '../reconcile/observe/acr-change-scan.ts';
import { ChangeCursor } from '../reconcile/observe/change-cursor.ts';
import { unusable } from '../schedule/abort-at-close.ts';
import type { LinkUse } from '../schedule/link-schedule.ts';
import type { DeltaApplier } from '../transfer/pieces/delta-applier.ts';
import type { SyncerActivity } from '../transfer/syncer-status.ts';
import type { LinkReport } from './link-report.ts';

/** State of one term. What this process knows of the parent is discarded with it. */
export type TermState = {
  term: CoordinatorTerm;
  changeCursor: ChangeCursor;
  acrChanges: AcrChangeScan;
  caches: PassCaches;
};

/** Takes a term from storage. @throws the reason of `stopped` */
export async function takeTermState(
  context: Context,
  lease: Pick<CoordinatorLease, 'holds' | 'invalidate'>,
  stopped: AbortSignal,
): Promise<TermState> {
  const { bus, log } = context;
  const number = await newTerm(context, lease, stopped);
  stopped.throwIfAborted();
  const term = new CoordinatorTerm(bus, number, lease, ({ message }) => {
    log.info({ term: number, reason: message }, 'lost leadership; another coordinator continues');
    lease.invalidate();
  });
  return {
    term,
    changeCursor: new ChangeCursor(term.bus),
    acrChanges: new AcrChangeScan(term.bus),
    caches: new PassCaches(),
  };
}

export type TermTasksDeps = {
  context: Context;
  volume: Volume;
  settings: SyncerSettings;
  activity: SyncerActivity;
  link: () => LinkUse | undefined;
  linkReport: LinkReport;
  deltaPace: DeltaPace;
  applier: DeltaApplier;
  requestPass: (request: PassRequest) => void;
  /** Id of the pass that answers the last request. */
  requestedPass: (isScoped: boolean) => string | undefined;
};

/** What lasts as long as a term: the coordinator grants bandwidth, serves `startPass`, and follows the parent. */
export class TermTasks {
  readonly #deps: TermTasksDeps;
  /** Of the last term. */
  #parentTasks: ParentTasks | undefined;

  constructor(deps: TermTasksDeps) {
    this.#deps = deps;
  }

  /** Tasks at the parent; undefined before the first term. */
  get parentTasks(): ParentTasks | undefined {
    return this.#parentTasks;
  }

  /** @returns a function that ends the term and its tasks */
  start({ term, changeCursor }: TermState): () => void {
    const { context, volume, settings, activity, link, requestPass, linkReport, deltaPace, applier } =
      this.#deps;
    const { bus, log, instance, layer, signal } = context;
    activity.coordinates(true);
    const stopGrants = settings.bandwidth.serveGrants();
    const stopMeasuring = deltaPace.listen(bus);
    const deps = {
      bus,
      log,
      instance,
      layer,
      fencedBus: term.bus,
      volume,
      settings,
      changeCursor,
      link,
      activity,
      deltaPace,
      applier,
      coordinator: {
        requestPass: () => requestPass(newRequest('parent')),
        unchanged: () => requestPass(newRequest('schedule')),
        reportUnreachable: (reason: string) => void linkReport.reportUnreachable(reason),
        isUnreachable: () => linkReport.isUnreachable,
      },
    };
    this.#parentTasks = startParentTasks(deps, AbortSignal.any([signal, term.signal]));
    const unserve = this.#serveStartPass();
    return () => {
      term.end();
      activity.coordinates(false);
      stopGrants();
      stopMeasuring();
      void unserve();
    };
  }

  #serveStartPass() {
    const { context, settings, link, requestPass, requestedPass } = this.#deps;
    return context.bus.serve(startPass, async ({ full, now, retry }) => {
      settings.get();
      const at = link();
      if (at && !at.usable && (!now || at.paused)) throw unusable(at);
      const again = retry && !full ? retryOf(retry) : {};
      requestPass({
        ...newRequest('request'),
        ...{ asked: true, ...again },
        ...(full && { full }),
        ...(now && { now }),
      });
      const id = requestedPass(again.scope !== undefined);
      if (!id) throw new Fault('unavailable', 'the coordinator changes: ask again');
      return { pass: id };
    });
  }
}
