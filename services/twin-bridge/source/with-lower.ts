import type { DocumentSource, Found } from './source.ts';

/**
 * The documents of `upper`, each with that of `lower` beneath it. Nothing is found before both have one, and a
 * complaint of either is one.
 */
export function withBeneath(upper: DocumentSource, lower: DocumentSource): DocumentSource {
  return {
    name: `${upper.name}, over ${lower.name}`,
    watch(handler) {
      let above: Found | undefined;
      let below: Found | undefined;
      const tell = () => {
        if (!above || !below) return undefined;
        if ('complaint' in above) return handler(above);
        if ('complaint' in below) return handler({ ...version(above), complaint: below.complaint });
        return handler({ ...above, beneath: { text: below.text, folder: below.folder } });
      };
      const watching = [
        lower.watch((found) => {
          below = found;
          return tell();
        }),
        upper.watch((found) => {
          above = found;
          return tell();
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

const version = ({ version: its }: Found) => (its === undefined ? {} : { version: its });
