import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '#proto/bus/bus.ts';
import type { StoredEvent } from '#proto/bus/events.ts';
import { historyLost } from '#proto/bus/history.ts';
import type { EventPublisher, HistoryReader } from '#proto/bus/roles.ts';
import type { Log } from '#proto/contract/log.ts';
import { isInStream } from '#proto/jetstream/archive.ts';
import { type MetadataWriter, put } from '../metadata/metadata.ts';
import type { MetadataReader } from '../metadata/metadata-reader.ts';

/** Interval between checks, in ms. */
const TICK_MS = 1_000;
/** Interval between checks of the stream without new events, in ticks. */
const CHECK_TICKS = 60;

export type WatchDeps = {
  bus: EventPublisher & HistoryReader & Pick<Bus, 'stored'>;
  metadata: MetadataReader & MetadataWriter;
  log: Log;
  tickMs?: number;
};

/**
 * Detects that the bus has restarted without its store, or with an older copy of it, and publishes this in the stream:
 * otherwise readers would take the remaining history as complete. Metadata records an event that was in the stream; a
 * stream that has another one in its place, or ends before it, has lost everything from there on.
 */
export async function watchHistory(
  { bus, metadata, log, tickMs = TICK_MS }: WatchDeps,
  signal: AbortSignal,
): Promise<void> {
  let known: StoredEvent | undefined;
  let loaded = false;
  /** Last event that this connection had stored when a loss was found: it is lost, too. */
  let lostId: string | undefined;
  for (let tick = 0; !signal.aborted; tick += 1) {
    try {
      if (!loaded) known = await metadata.history();
      const stored = bus.stored();
      const last = stored?.id === lostId ? undefined : stored;
      const moved = last !== undefined && last.id !== known?.id;
      if (
        known &&
        (moved || !loaded || tick % CHECK_TICKS === 0) &&
        !(await isInStream(bus.archive, known))
      ) {
        log.warn(known, 'the bus lost part of the event history');
        // The first lost event is not known: the copy may be of any age.
        bus.publish(historyLost, { from: Math.min(known.sequence, await endOf(bus)), reason: 'lost' });
        known = undefined;
        lostId = last?.id;
      } else if (moved) {
        await metadata.writeUnsynced(put.history(last));
        known = last;
      }
      loaded = true;
    } catch (err) {
      log.debug({ err }, 'event history could not be checked; retrying');
    }
    await sleep(tickMs, undefined, { signal, ref: false }).catch(() => {});
  }
}

const endOf = async (bus: WatchDeps['bus']): Promise<number> => (await bus.archive.bounds()).last + 1;
