import type { HistoryReader, StateReader } from '#proto/bus/roles.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import { LINK_KEY, linkStatus } from '#proto/status/status.ts';

/** Bounds of what is read of a pass: of one with more events, not all images are known. */
const MAX_EVENTS = 50_000;
const MAX_MS = 5_000;
/** The first events of a pass are stored before the state of the link says that it runs, in ms. */
const BEFORE_MS = 1_000;

/** Reads the events of the pass that runs now, if any: what it does began before this command. */
export async function readRunningPass(
  bus: StateReader & HistoryReader,
  apply: (event: Envelope) => void,
  signal: AbortSignal,
): Promise<void> {
  const either = AbortSignal.any([signal, AbortSignal.timeout(MAX_MS)]);
  try {
    const link = (await bus.get(linkStatus, LINK_KEY))?.value;
    if (link?.state !== 'Syncing') return;
    let count = 0;
    const since = new Date(link.since - BEFORE_MS);
    for await (const past of bus.history({ since, signal: either })) {
      if ('event' in past && past.child === undefined) apply(past.event);
      count += 1;
      if (count > MAX_EVENTS) return;
    }
  } catch {
    // The progress is then that of the images that begin from here on.
  }
}
