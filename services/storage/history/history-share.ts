import { childOfSubject } from '#proto/bus/relay.ts';
import type { SizedEvent } from '#proto/jetstream/stream-room.ts';

/**
 * Decides whose events are deleted when the stream of events must shrink. Events of this layer have one half of it,
 * events of children the other; space that one half does not need is available to the other. Within their half,
 * children have equal (max-min fair) shares: the child with the most events loses its own oldest ones, others none.
 * Pure.
 */

/** Name of a child; undefined: this layer. */
export type HistoryOwner = string | undefined;
/** Events that an owner loses: all of its own before the sequence `before`. */
export type Cut = {
  owner: HistoryOwner;
  first: number;
  last: number;
  before: number;
  count: number;
  bytes: number;
};

/** The events of one owner, in order. */
class OwnerEvents {
  readonly sequences: number[] = [];
  readonly sizes: number[] = [];
  bytes = 0;

  add({ sequence, bytes }: SizedEvent): void {
    this.sequences.push(sequence);
    this.sizes.push(bytes);
    this.bytes += bytes;
  }

  /** Cuts to at most `allowed` bytes; the last event stays. */
  cut(owner: HistoryOwner, allowed: number): Cut | undefined {
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

/** The largest share at which all wants together fit into `available`; all in bytes. */
function shareOf(wants: readonly number[], available: number): number {
  let left = available;
  const sorted = [...wants].sort((a, b) => a - b);
  for (const [index, want] of sorted.entries()) {
    const share = left / (sorted.length - index);
    if (want > share) return share;
    left -= want;
  }
  return Number.POSITIVE_INFINITY;
}

/** Takes all events of the stream in order, then returns the cuts. */
export class Shares {
  readonly #local = new OwnerEvents();
  readonly #children = new Map<string, OwnerEvents>();

  readonly add = (event: SizedEvent): void => {
    const child = childOfSubject(event.subject);
    const held = child === undefined ? this.#local : (this.#children.get(child) ?? new OwnerEvents());
    if (child !== undefined) this.#children.set(child, held);
    held.add(event);
  };

  /** @param target max bytes that remain */
  cutsTo(target: number): Cut[] {
    const local = this.#local;
    const children = [...this.#children];
    const sizes = children.map(([, { bytes }]) => bytes);
    const below = sizes.reduce((sum, bytes) => sum + bytes, 0);
    const localShare = Math.max(target / 2, target - below);
    const share = shareOf(sizes, target - Math.min(local.bytes, localShare));
    const cuts = [
      local.cut(undefined, localShare),
      ...children.map(([child, held]) => held.cut(child, share)),
    ];
    return cuts.filter((cut) => cut !== undefined);
  }
}
