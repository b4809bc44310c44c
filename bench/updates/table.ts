import { join, resolve } from 'node:path';
import { aligned } from './aligned.ts';
import { bytesOf, changedLayers, type Pair, pairsIn } from './pairs.ts';

/** Prints the pairs of a folder: `node bench/updates/table.ts FOLDER`. */

const mb = (bytes: number) => (bytes / 1e6).toFixed(2);

/** Rows of a table: layers and MB of both images, layers and MB that changed. */
export function rowsOf(pairs: readonly Pair[]): string[][] {
  return pairs.map((pair) => {
    const { v1, v2 } = pair.images;
    const changed = changedLayers(pair);
    return [
      pair.kind,
      pair.builder,
      String(v2.layers.length),
      mb(bytesOf(v1.layers)),
      mb(bytesOf(v2.layers)),
      String(changed.length),
      mb(bytesOf(changed)),
    ];
  });
}

const HEADER = ['kind', 'builder', 'layers', 'v1 MB', 'v2 MB', 'changed', 'changed MB'];

if (import.meta.main) {
  const pairs = await pairsIn(join(resolve(process.argv[2] ?? '.'), 'pairs'));
  console.log(aligned([HEADER, ...rowsOf(pairs)], 2));
}
