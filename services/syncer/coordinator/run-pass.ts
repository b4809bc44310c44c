import { Fault, toWire } from '#proto/contract/fault.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import type { Volume } from '#proto/volume/volume.ts';
import type { Context } from '../../process/run.ts';
import type { CoordinatorTerm } from '../leadership/coordinator-term.ts';
import type { FencedBus } from '../leadership/fenced-bus.ts';
import type { Settings } from '../link/parent/settings.ts';
import type { PassAnnouncement } from '../reconcile/context/announcement.ts';
import type { PassRequest } from '../reconcile/context/pass-request.ts';
import type { AcrChangeScan } from '../reconcile/observe/acr-news.ts';
import type { ChangeCursor } from '../reconcile/observe/news.ts';
import { makePass } from '../reconcile/pass.ts';

export type RunDeps = {
  context: Context;
  volume: Volume;
  settings: Settings;
  lead: CoordinatorTerm;
  changeCursor: ChangeCursor;
  acrChanges: AcrChangeScan;
  announcement: PassAnnouncement;
  /** When the window closes; absent where the pass may go on as long as it takes. */
  until?: number;
  signal: AbortSignal;
};

/** Makes the pass and says how it came out, however that was. @throws the reason of `signal`, unless it says how it ended */
export async function runPass(
  {
    context: { log, instance, layer },
    volume,
    settings,
    lead,
    changeCursor,
    acrChanges,
    announcement,
    until,
    signal,
  }: RunDeps,
  passRequest: PassRequest,
): Promise<PassResult> {
  try {
    const { parent, upward, feed, activation, acr } = await settings.clients();
    const deps = {
      bus: announcing(lead.bus, announcement),
      announcement,
      volume,
      log,
      parent,
      upward: lead.upward(upward),
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
    // Whoever leads now makes the pass, and says how it came out.
    const tells = signal.reason instanceof Fault && !Fault.is(signal.reason, 'claim-lost');
    if (signal.aborted && !tells) throw signal.reason;
    const { code, message } = toWire(err);
    log.error({ err, pass: passRequest.id }, 'a pass failed');
    return { ...nothing(passRequest), failed: 1, failures: [{ code, reason: message }] };
  }
}

/** Whatever the pass does, its beginning is told before. */
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

/** What came of a pass that did nothing. */
export const nothing = ({ id }: PassRequest): PassResult => ({
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
