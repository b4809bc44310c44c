import type { DocumentSource, SourceState } from './source.ts';

/**
 * The documents of `upper`, each with the document of `lower` below it. The handler is first called when both sources
 * have a document; a complaint of either is passed on.
 */
export function withLowerDocument(upper: DocumentSource, lower: DocumentSource): DocumentSource {
  return {
    name: `${upper.name}, over ${lower.name}`,
    watch(handler) {
      let above: SourceState | undefined;
      let below: SourceState | undefined;
      const notify = () => {
        if (!above || !below) return undefined;
        if ('complaint' in above) return handler(above);
        if ('complaint' in below) return handler({ ...version(above), complaint: below.complaint });
        return handler({ ...above, lower: { text: below.text, folder: below.folder } });
      };
      const watching = [
        lower.watch((document) => {
          below = document;
          return notify();
        }),
        upper.watch((document) => {
          above = document;
          return notify();
        }),
      ];
      return {
        [Symbol.dispose]() {
          for (const each of watching) each[Symbol.dispose]();
        },
      };
    },
  };
}

const version = ({ version: value }: SourceState) => (value === undefined ? {} : { version: value });
