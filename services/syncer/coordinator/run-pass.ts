import { Fault, toWire } from '#proto/contract/fault.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import type { Volume } from '#proto/volume/volume.ts';
import type { Context } from '../../process/run.ts';
import type { CoordinatorTerm } from '../leadership/coordinator-term.ts';
import type { FencedBus } from '../leadership/fenced-bus.ts';
import type { ParentSettings } from '../link/parent/settings.ts';
import type { PassAnnouncement } from '../reconcile/context/announcement.ts';
import type { PassRequest } from '../reconcile/context/pass-request.ts';
import type { AcrChangeScan } from '../reconcile/observe/acr-change-scan.ts';
import type { ChangeCursor } from '../reconcile/observe/change-cursor.ts';
import { makePass } from '../reconcile/pass.ts';

export type RunDeps = {
  context: Context;
  volume: Volume;
  settings: ParentSettings;
  term: CoordinatorTerm;
  changeCursor: ChangeCursor;
  acrChanges: AcrChangeScan;
  announcement: PassAnnouncement;
  /** When the window closes; absent if the pass has no deadline. */
  until?: number;
  signal: AbortSignal;
};

/**
 * Makes the pass. An error becomes a failed result.
 * @throws the reason of `signal` if it aborted, unless the reason is a Fault other than `claim-lost`
 */
export async function runPass(
  {
    context: { log, instance, layer },
    volume,
    settings,
    term,
    changeCursor,
    acrChanges,
    announcement,
    until,
    signal,
  }: RunDeps,
  passRequest: PassRequest,
): Promise<PassResult> {
  try {
    const { parent, pushClient, feed, activation, acr } = await settings.clients();
    const deps = {
      bus: announcing(term.bus, announcement),
      announcement,
      volume,
      log,
      parent,
      pushClient: term.fenced(pushClient),
      feed,
      activation,
      changeCursor,
      acr,
      acrChanges,
      configuration: settings.get(),
      by: instance,
      layer,
      signal,
      ...(until !== undefined && { until }),
    };
    return await makePass(deps, passRequest);
  } catch (err) {
    // After a takeover, the new coordinator makes the pass and publishes its result.
    const hasResult = signal.reason instanceof Fault && !Fault.is(signal.reason, 'claim-lost');
    if (signal.aborted && !hasResult) throw signal.reason;
    const { code, message } = toWire(err);
    log.error({ err, pass: passRequest.id }, 'a pass failed');
    return { ...emptyResult(passRequest), failed: 1, failures: [{ code, reason: message }] };
  }
}

/** A bus on which the pass is announced before its first event or job. */
function announcing(bus: FencedBus, announcement: PassAnnouncement): FencedBus {
  return {
    ...bus,
    publish: (...event) => {
      announcement.now();
      bus.publish(...event);
    },
    submit: (...job) => {
      announcement.now();
      return bus.submit(...job);
    },
  };
}

/** Result of a pass that did nothing. */
export const emptyResult = ({ id }: PassRequest): PassResult => ({
  pass: id,
  ok: false,
  taken: 0,
  dropped: 0,
  sent: 0,
  withdrawn: 0,
  failed: 0,
  parked: 0,
  failures: [],
  ms: 0,
});
