import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '#proto/bus/bus.ts';
import { serviceNames } from '#proto/contract/users.ts';
import { type LayerStatus, layerStatus } from '#proto/overview/layer-status.ts';
import { refusalOf } from '../terminal/failure.ts';
import type { Refusal } from '../terminal/refusal.ts';
import { factsOf, ImageTracker, type PassProgress } from '../text/image-progress.ts';
import { connectOperator } from './connect.ts';
import { anyEvent } from './follow-pass.ts';
import { readRunningPass } from './running-pass.ts';

export type WatchedStatus = { status: LayerStatus; progress: PassProgress };

/**
 * The status of a layer again and again, at this interval, until the signal aborts, with the progress of its images. It
 * outlives the layer: while none runs, the reason is yielded instead, and a layer that is started again is found.
 * @throws Refusal if none runs at first
 */
export async function* watchStatus(
  data: string,
  intervalMs: number,
  signal: AbortSignal,
): AsyncGenerator<WatchedStatus | Refusal> {
  let seen: Seen | undefined = new Seen(await connectOperator(data), signal);
  try {
    while (!signal.aborted) {
      const start = performance.now();
      try {
        seen ??= new Seen(await connectOperator(data, 'terrace', { wait: false }), signal);
        await seen.past;
        const status = await layerStatus(seen.bus);
        yield { status, progress: seen.tracker.progress(performance.now()) };
        // The layer may have stopped, and another start may use another port.
        if (serviceNames.every((service) => status.silent.includes(service))) {
          await seen[Symbol.asyncDispose]();
          seen = undefined;
        }
      } catch (error) {
        yield refusalOf(error);
      }
      const ms = Math.max(0, intervalMs - (performance.now() - start));
      await sleep(ms, undefined, { signal }).catch(() => {});
    }
  } finally {
    await seen?.[Symbol.asyncDispose]();
  }
}

/** One connection to a layer, and what its events say of the running pass. */
class Seen implements AsyncDisposable {
  readonly bus: Bus;
  readonly tracker = new ImageTracker();
  /** Resolves when the tracker knows what began before. */
  readonly past: Promise<void>;

  constructor(bus: Bus, signal: AbortSignal) {
    this.bus = bus;
    bus.listen(anyEvent, (event) => this.tracker.apply(event.type, factsOf(event)));
    this.past = readRunningPass(bus, (event) => this.tracker.apply(event.type, factsOf(event)), signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bus[Symbol.asyncDispose]();
  }
}
