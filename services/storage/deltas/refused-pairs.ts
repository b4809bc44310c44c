import { hash } from 'node:crypto';
import type { RefusedDelta } from '#proto/content/deltas.ts';
import { drop, type Metadata, put } from '../metadata/metadata.ts';
import type { RefusedRecord } from '../metadata/records.ts';

/** Max pairs; the oldest are dropped first. */
const MAX_PAIRS = 10_000;

type RefusedDeps = { metadata: Metadata; now: () => number };
type Pair = Omit<RefusedDelta, 'reason'>;

/** Pairs of bases and target that are not to be tried again. A lost record only costs another attempt. */
export class RefusedPairs {
  readonly #deps: RefusedDeps;
  readonly #max: number;
  /** `<target>!<pair>`, oldest first. */
  readonly #names: Set<string>;

  /** @param max pairs */
  static async open(deps: RefusedDeps, max = MAX_PAIRS): Promise<RefusedPairs> {
    const found: [name: string, since: number][] = [];
    for await (const [name, { since }] of deps.metadata.allRefusedDeltas()) found.push([name, since]);
    found.sort(([, a], [, b]) => a - b);
    return new RefusedPairs(deps, new Set(found.map(([name]) => name)), max);
  }

  /** Without the pairs that are on record: see `open`. */
  constructor(deps: RefusedDeps, names = new Set<string>(), max = MAX_PAIRS) {
    this.#deps = deps;
    this.#names = names;
    this.#max = max;
  }

  get count(): number {
    return this.#names.size;
  }

  /** A pair that is refused as `wrong` stays so. */
  async add({ to, from, format, reason }: RefusedDelta): Promise<void> {
    const { metadata, now } = this.#deps;
    const pair = hashOf({ to, from, format });
    const known = await metadata.refusedDelta(to, pair);
    const record: RefusedRecord = {
      from,
      format,
      reason: known?.reason === 'wrong' ? 'wrong' : reason,
      since: now(),
    };
    const name = `${to}!${pair}`;
    this.#names.delete(name);
    this.#names.add(name);
    const oldest: string[] = [];
    for (const each of this.#names) {
      if (this.#names.size - oldest.length <= this.#max) break;
      oldest.push(each);
    }
    for (const each of oldest) this.#names.delete(each);
    await metadata.writeUnsynced([...put.refusedDelta(to, pair, record), ...oldest.flatMap(dropNamed)]);
  }

  /**
   * Pairs of a target, the newest first.
   * @param max pairs that are returned, of those that are wanted
   */
  async of(
    to: string,
    isWanted: (pair: Pick<Pair, 'from'>) => boolean,
    max: number,
  ): Promise<RefusedDelta[]> {
    const found: RefusedRecord[] = [];
    for await (const [, pair] of this.#deps.metadata.refusedDeltasOf(to))
      if (isWanted(pair)) found.push(pair);
    found.sort((a, b) => b.since - a.since);
    return found.slice(0, max).map(({ from, format, reason }) => ({ to, from, format, reason }));
  }

  /** Forgets the pairs of the targets for which `isDropped`. */
  async drop(isDropped: (to: string) => Promise<boolean>): Promise<void> {
    for (const name of [...this.#names]) {
      if (!(await isDropped(targetOf(name)))) continue;
      this.#names.delete(name);
      await this.#deps.metadata.writeUnsynced(dropNamed(name));
    }
  }
}

const targetOf = (name: string): string => name.slice(0, name.indexOf('!'));

function dropNamed(name: string) {
  const to = targetOf(name);
  return drop.refusedDelta(to, name.slice(to.length + 1));
}

/** The order of the bases does not matter. */
export const isSamePair = (a: Pair, b: Pair): boolean => a.to === b.to && hashOf(a) === hashOf(b);

const hashOf = ({ from, format }: Pair): string =>
  hash('sha256', `${format} ${[...from].sort().join(' ')}`).slice(0, 24);
