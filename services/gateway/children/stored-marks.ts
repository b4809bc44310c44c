import type { Envelope } from '#proto/contract/envelope.ts';
import { MAX_MARKS, MAX_MISSING } from '#proto/status/layers-below.ts';

/**
 * Max size of a child's marks, in bytes: its sources and their serial numbers. Those of some hundred children fit into
 * their bucket.
 */
const MAX_BYTES = 96 * 1024;

/** Of one source: the last serial that was stored, and those shortly before it that were not. */
type Mark = { last: number; missing: ReadonlySet<number> };

/** Marks in the form of `ReportProgress`. */
export type MarkRecords = { marks: Record<string, number>; missing?: Record<string, number[]> };

/**
 * Which events of a child are stored, by source and serial: the number at the end of an id. A process numbers its
 * events, and sends up to 32 at a time, so that the stream of the child may have some of them in another order.
 */
export class StoredMarks {
  /** By source, the most recently used last. */
  readonly #marks = new Map<string, Mark>();

  /** @param rename returns the source under which events of a stored source are marked from now on */
  static read({ marks, missing = {} }: MarkRecords, rename: (source: string) => string): StoredMarks {
    const stored = new StoredMarks();
    for (const [source, last] of Object.entries(marks))
      stored.#marks.set(rename(source), { last, missing: new Set(missing[source]) });
    return stored;
  }

  /** Whether the event was stored. Of those long before the last one of its source, all were. */
  has({ source, id }: Envelope): boolean {
    const serial = serialOf(id);
    const mark = this.#marks.get(source);
    return serial !== undefined && mark !== undefined && serial <= mark.last && !mark.missing.has(serial);
  }

  add({ source, id }: Envelope): void {
    const serial = serialOf(id);
    if (serial === undefined) return;
    const { last, missing } = this.#marks.get(source) ?? { last: 0, missing: new Set<number>() };
    const next = Math.max(last, serial);
    const left = [...missing].filter((each) => each !== serial && each > next - MAX_MISSING);
    for (let skipped = Math.max(last + 1, next - MAX_MISSING + 1); skipped < serial; skipped += 1)
      left.push(skipped);
    this.#marks.delete(source);
    this.#marks.set(source, { last: next, missing: new Set(left) });
  }

  /** The most recently used ones, as many as a state may have. */
  get records(): MarkRecords {
    const latest: [string, Mark][] = [];
    let bytes = 0;
    for (const [source, mark] of [...this.#marks].slice(-MAX_MARKS).reverse()) {
      bytes += Buffer.byteLength(source) + 16;
      if (mark.missing.size > 0) bytes += Buffer.byteLength(source) + 16 + 9 * mark.missing.size;
      if (bytes > MAX_BYTES) break;
      latest.push([source, mark]);
    }
    latest.reverse();
    const missing = latest.filter(([, mark]) => mark.missing.size > 0);
    return {
      marks: Object.fromEntries(latest.map(([source, { last }]) => [source, last])),
      ...(missing.length > 0 && {
        missing: Object.fromEntries(missing.map(([source, mark]) => [source, [...mark.missing]])),
      }),
    };
  }
}

/** Undefined for an event of a source other than Terrace: only its position identifies it. */
function serialOf(id: string): number | undefined {
  const text = /-(\d{1,15})$/.exec(id)?.[1];
  return text === undefined ? undefined : Number(text);
}
