import type { Log } from '#proto/bus/bus.ts';
import type { DocumentSource } from './source.ts';

/** edgeHub itself may need two minutes for an answer while its own upstream is half dead, in ms. */
export const FIRST_START_MS = 3 * 60_000;

/**
 * The source, and an empty document where it has found nothing in so long: for a layer whose environment says all that
 * a layer must know. It matters at the first start alone, as later on the last document counts.
 */
export function orEmpty(source: DocumentSource, ms: number, log: Log): DocumentSource {
  return {
    name: source.name,
    watch(handler) {
      const timer = setTimeout(() => {
        log.warn({ source: source.name }, 'no desired properties until now: begins as the environment says');
        handler({ text: '', folder: '.' });
      }, ms).unref();
      const watching = source.watch((found) => {
        clearTimeout(timer);
        return handler(found);
      });
      return {
        [Symbol.dispose]() {
          clearTimeout(timer);
          watching[Symbol.dispose]();
        },
      };
    },
  };
}
