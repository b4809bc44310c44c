import { Fault, toWire } from '#proto/contract/fault.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import type { Volume } from '#proto/volume/volume.ts';
import type { Context } from '../../process/run.ts';
import type { Lead } from '../leadership/coordinator-term.ts';
import type { PassBus } from '../leadership/fenced-bus.ts';
import type { Settings } from '../link/parent/settings.ts';
import type { Announcement } from '../reconcile/context/announcement.ts';
import type { Wish } from '../reconcile/context/pass-request.ts';
import type { AcrNews } from '../reconcile/observe/acr-news.ts';
import type { News } from '../reconcile/observe/news.ts';
import { makePass } from '../reconcile/pass.ts';

export type RunDeps = {
  context: Context;
  volume: Volume;
  settings: Settings;
  lead: Lead;
  news: News;
  acrNews: AcrNews;
  announcement: Announcement;
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
    news,
    acrNews,
    announcement,
    until,
    signal,
  }: RunDeps,
  wish: Wish,
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
      news,
      acr,
      acrNews,
      configuration: settings.get(),
      by: instance,
      layer,
      signal,
      ...(until !== undefined && { until }),
    };
    return await makePass(deps, wish);
  } catch (err) {
    // Whoever leads now makes the pass, and says how it came out.
    const tells = signal.reason instanceof Fault && !Fault.is(signal.reason, 'claim-lost');
    if (signal.aborted && !tells) throw signal.reason;
    const { code, message } = toWire(err);
    log.error({ err, pass: wish.id }, 'a pass failed');
    return { ...nothing(wish), failed: 1, failures: [{ code, reason: message }] };
  }
}

/** Whatever the pass does, its beginning is told before. */
function announcing(bus: PassBus, announcement: Announcement): PassBus {
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
export const nothing = ({ id }: Wish): PassResult => ({
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
