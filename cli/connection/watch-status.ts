import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '#proto/bus/bus.ts';
import { serviceNames } from '#proto/contract/users.ts';
import { type LayerStatus, layerStatus } from '#proto/overview/layer-status.ts';
import { refusalOf } from '../terminal/failure.ts';
import type { Refusal } from '../terminal/refusal.ts';
import { connectOperator } from './connect.ts';

/**
 * The status of a layer again and again, at this interval, until the signal aborts. It outlives the layer: while none
 * runs, the reason is yielded instead, and a layer that is started again is found.
 * @throws Refusal if none runs at first
 */
export async function* watchStatus(
  data: string,
  intervalMs: number,
  signal: AbortSignal,
): AsyncGenerator<LayerStatus | Refusal> {
  let bus: Bus | undefined = await connectOperator(data);
  try {
    while (!signal.aborted) {
      const start = performance.now();
      try {
        bus ??= await connectOperator(data, 'terrace', { wait: false });
        const status = await layerStatus(bus);
        yield status;
        // The layer may have stopped, and another start may use another port.
        if (serviceNames.every((service) => status.silent.includes(service))) {
          await bus[Symbol.asyncDispose]();
          bus = undefined;
        }
      } catch (error) {
        yield refusalOf(error);
      }
      const ms = Math.max(0, intervalMs - (performance.now() - start));
      await sleep(ms, undefined, { signal }).catch(() => {});
    }
  } finally {
    await bus?.[Symbol.asyncDispose]();
  }
}
