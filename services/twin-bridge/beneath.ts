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
        if (!above || !below) return;
        if ('complaint' in above) handler(above);
        else if ('complaint' in below) handler({ ...version(above), complaint: below.complaint });
        else handler({ ...above, beneath: { text: below.text, folder: below.folder } });
      };
      const watching = [
        lower.watch((found) => {
          below = found;
          tell();
        }),
        upper.watch((found) => {
          above = found;
          tell();
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
