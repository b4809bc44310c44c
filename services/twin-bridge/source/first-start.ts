import type { Log } from '#proto/bus/bus.ts';
import type { DocumentSource } from './source.ts';

/** Max wait for the first document, in ms. edgeHub may need two minutes while its own upstream is half dead. */
export const FIRST_START_MS = 3 * 60_000;

/**
 * The source, with an empty document if the source has none within `ms`: for a layer whose environment has all required
 * fields. This matters only at the first start: a later start uses the last document.
 */
export function orEmpty(source: DocumentSource, ms: number, log: Log): DocumentSource {
  return {
    name: source.name,
    watch(handler) {
      const timer = setTimeout(() => {
        log.warn(
          { source: source.name },
          'no desired properties received; starting with the configuration from the environment',
        );
        handler({ text: '', folder: '.' });
      }, ms).unref();
      const watching = source.watch((document) => {
        clearTimeout(timer);
        return handler(document);
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
