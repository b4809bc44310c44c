import { childOf } from '#proto/bus/relay.ts';
import type { SizedEvent } from '#proto/jetstream/stream-room.ts';

/**
 * Whose events go where the stream of events has to be made smaller: this layer's own have half of it, those of the
 * layers below the other half, and what one half does not need the other has. Of its half, each child has as much as
 * any other that needs it, so who tells the most gives up the oldest of its own, and nobody else anything. Pure.
 */

/** Undefined: this layer itself. */
export type Owner = string | undefined;
/** What an owner gives up: all its events before one. */
export type Cut = { owner: Owner; first: number; last: number; before: number; count: number; bytes: number };

/** The events of one owner, in order. */
class Held {
  readonly sequences: number[] = [];
  readonly sizes: number[] = [];
  bytes = 0;

  add({ sequence, bytes }: SizedEvent): void {
    this.sequences.push(sequence);
    this.sizes.push(bytes);
    this.bytes += bytes;
  }

  /** Until no more than so many bytes are left; the last one stays. */
  cut(owner: Owner, allowed: number): Cut | undefined {
    let left = this.bytes;
    let count = 0;
    while (left > allowed && count < this.sequences.length - 1) {
      left -= this.sizes[count] as number;
      count += 1;
    }
    if (count === 0) return undefined;
    const [first, last, before] = [0, count - 1, count].map((at) => this.sequences[at] as number);
    return {
      owner,
      first: first as number,
      last: last as number,
      before: before as number,
      count,
      bytes: this.bytes - left,
    };
  }
}

/** The largest share of which all together need no more than there is. */
function shareOf(wants: readonly number[], there: number): number {
  let left = there;
  const sorted = [...wants].sort((a, b) => a - b);
  for (const [index, want] of sorted.entries()) {
    const share = left / (sorted.length - index);
    if (want > share) return share;
    left -= want;
  }
  return Number.POSITIVE_INFINITY;
}

/** Told all events of the stream in order, it says what goes. */
export class Shares {
  readonly #own = new Held();
  readonly #children = new Map<string, Held>();

  readonly add = (event: SizedEvent): void => {
    const child = childOf(event.subject);
    const held = child === undefined ? this.#own : (this.#children.get(child) ?? new Held());
    if (child !== undefined) this.#children.set(child, held);
    held.add(event);
  };

  /** @param target how many bytes may be left */
  cutsTo(target: number): Cut[] {
    const own = this.#own;
    const children = [...this.#children];
    const sizes = children.map(([, { bytes }]) => bytes);
    const below = sizes.reduce((sum, bytes) => sum + bytes, 0);
    const ownShare = Math.max(target / 2, target - below);
    const share = shareOf(sizes, target - Math.min(own.bytes, ownShare));
    const cuts = [own.cut(undefined, ownShare), ...children.map(([child, held]) => held.cut(child, share))];
    return cuts.filter((cut) => cut !== undefined);
  }
}
