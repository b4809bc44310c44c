import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '#proto/bus/bus.ts';
import type { StoredEvent } from '#proto/bus/events.ts';
import { historyLost } from '#proto/bus/history.ts';
import type { Log } from '#proto/contract/log.ts';
import { type Metadata, put } from '../metadata/metadata.ts';

const TICK_MS = 1_000;
/** How often the stream is looked at where nothing happens, in ticks. */
const LOOK_TICKS = 60;

export type WatchDeps = {
  bus: Pick<Bus, 'stored' | 'archive' | 'publish'>;
  metadata: Pick<Metadata, 'history' | 'note'>;
  log: Log;
  tickMs?: number;
};

/**
 * Finds out that the bus came back without its store, or with an older copy of it, and says so in the stream: whoever
 * reads what is left of the history would take it for all that happened. Metadata know an event that was in the stream;
 * a stream that has another one in its place, or ends before it, has lost what was from there on.
 */
export async function watchHistory(
  { bus, metadata, log, tickMs = TICK_MS }: WatchDeps,
  signal: AbortSignal,
): Promise<void> {
  let known: StoredEvent | undefined;
  let begun = false;
  /** What this connection had stored when a loss was found: it is lost, too. */
  let gone: string | undefined;
  for (let tick = 0; !signal.aborted; tick += 1) {
    try {
      if (!begun) known = await metadata.history();
      const stored = bus.stored();
      const last = stored?.id === gone ? undefined : stored;
      const moved = last !== undefined && last.id !== known?.id;
      if (known && (moved || !begun || tick % LOOK_TICKS === 0) && (await isLost(bus, known))) {
        log.warn(known, 'the bus has lost a part of the history');
        // The first one that is missing nobody knows: the copy may be of any time.
        bus.publish(historyLost, { from: Math.min(known.sequence, await endOf(bus)), reason: 'lost' });
        known = undefined;
        gone = last?.id;
      } else if (moved) {
        await metadata.note(put.history(last));
        known = last;
      }
      begun = true;
    } catch (err) {
      log.debug({ err }, 'the history could not be looked at; looking again');
    }
    await sleep(tickMs, undefined, { signal, ref: false }).catch(() => {});
  }
}

async function isLost(bus: WatchDeps['bus'], { sequence, id }: StoredEvent): Promise<boolean> {
  const { first, last } = await bus.archive.kept();
  // What is not kept any more says nothing, as long as the stream goes on behind it.
  if (sequence < first) return last < sequence;
  const there = await bus.archive.idAt(sequence);
  // Within the stream, only what made room is missing.
  return sequence > last || (there !== undefined && there !== id);
}

const endOf = async (bus: WatchDeps['bus']): Promise<number> => (await bus.archive.kept()).last + 1;
