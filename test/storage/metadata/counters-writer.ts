import { type Change, drop, Metadata, put } from '../../../services/storage/metadata/metadata.ts';

/*
 * Writes until it is killed: several batches at a time, which put and drop content, each on keys of its own. Prints a
 * line for each batch. Argument: the folder of the metadata.
 */
const WRITERS = 8;
const digestOf = (writer: number, n: number) => `sha256:${String(writer * 1_000_000 + n).padStart(64, '0')}`;

const metadata = await Metadata.open(process.argv[2] as string);
await Promise.all(
  Array.from({ length: WRITERS }, async (_, writer) => {
    for (let n = 0; ; n += 1) {
      const digest = digestOf(writer, n);
      const changes: Change[] = [
        ...put.blob(digest, { size: n + 1 }),
        ...put.tag(`lib/${writer}`, `v${n}`, digest),
        ...put.unsent(`lib/${writer}`, digest, { since: metadata.instant(n) }),
      ];
      if (n % 3 === 2)
        changes.push(...drop.blob(digestOf(writer, n - 1)), ...drop.tag(`lib/${writer}`, `v${n - 2}`));
      await metadata.write(changes);
      process.stdout.write('.\n');
    }
  }),
);
