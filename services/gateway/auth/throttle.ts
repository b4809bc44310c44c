import { isIPv6 } from 'node:net';

/**
 * How guessing is made slow. Failures are counted in three ways:
 *
 *   name and address   the strict one: after a few, this client may try this name only now and then
 *   address            the same, later: a client that tries many names, or a place where many clients share an address
 *   name               only delays each attempt a little. If it refused, anybody could lock the owner of a name out
 *                      from far away; a right password from an address that did not fail only waits, unless too many do
 *
 * An attempt counts as failed from its beginning until it has succeeded: many at once are no way around. What is
 * refused counts no further. All is forgotten after a quiet time, and the maps are bounded.
 */

/** After `free` failures each wait doubles, from `firstMs` to `mostMs`. */
type Limit = { free: number; firstMs: number; mostMs: number };
export const limits = {
  pair: { free: 5, firstMs: 1_000, mostMs: 60_000 },
  address: { free: 50, firstMs: 1_000, mostMs: 60_000 },
  name: { free: 20, firstMs: 100, mostMs: 2_000 },
} satisfies Record<string, Limit>;

/** A count is forgotten after this long without another failure. */
export const FORGET_MS = 10 * 60_000;
/** As many of each kind are remembered. */
export const MAX_COUNTS = 10_000;
/** No token has a longer name, and no address is longer, in characters: so much of them is told apart. */
const MAX_KEY_LENGTH = 80;

/** `refusedMs`: come again after it. `delayMs`: wait that long, then try. */
export type Attempt = { refusedMs: number } | { delayMs: number };

export class Throttle {
  readonly #pairs = new Failures(limits.pair);
  readonly #addresses = new Failures(limits.address);
  readonly #names = new Failures(limits.name);

  /** @param now ms, of a clock that never goes back */
  begin(name: string, address: string, now: number): Attempt {
    const { client, pair, who } = keysOf(name, address);
    const refusedMs = Math.max(this.#pairs.wait(pair, now), this.#addresses.wait(client, now));
    if (refusedMs > 0) return { refusedMs };
    const delayMs = this.#names.pause(who, now);
    this.#pairs.add(pair, now);
    this.#addresses.add(client, now);
    this.#names.add(who, now);
    return { delayMs };
  }

  /** The attempt has failed: the wait begins when its client is told. */
  failed(name: string, address: string, now: number): void {
    const { client, pair } = keysOf(name, address);
    this.#pairs.touch(pair, now);
    this.#addresses.touch(client, now);
  }

  /** The attempt was a good one: what was counted for it is taken back, and this client may err again. */
  succeeded(name: string, address: string): void {
    const { client, pair, who } = keysOf(name, address);
    this.#pairs.forget(pair);
    this.#addresses.takeBack(client);
    this.#names.takeBack(who);
  }

  /** The attempt came to nothing: it is not counted. */
  cancelled(name: string, address: string): void {
    const { client, pair, who } = keysOf(name, address);
    this.#pairs.takeBack(pair);
    this.#addresses.takeBack(client);
    this.#names.takeBack(who);
  }

  get size(): number {
    return this.#pairs.size + this.#addresses.size + this.#names.size;
  }
}

type Count = { failures: number; last: number };

class Failures {
  readonly #limit: Limit;
  /** Those that failed longest ago come first. */
  readonly #counts = new Map<string, Count>();

  constructor(limit: Limit) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#counts.size;
  }

  /** How long to wait after each failure now, in ms. */
  pause(key: string, now: number): number {
    const { free, firstMs, mostMs } = this.#limit;
    const over = (this.#get(key, now)?.failures ?? 0) - free;
    return over < 0 ? 0 : Math.min(mostMs, firstMs * 2 ** Math.min(over, 30));
  }

  /** How much of that wait is left. */
  wait(key: string, now: number): number {
    const pause = this.pause(key, now);
    return pause === 0 ? 0 : Math.max(0, (this.#counts.get(key) as Count).last + pause - now);
  }

  add(key: string, now: number): void {
    const failures = (this.#get(key, now)?.failures ?? 0) + 1;
    this.#counts.delete(key);
    const [oldest] = this.#counts.keys();
    if (this.#counts.size >= MAX_COUNTS && oldest !== undefined) this.#counts.delete(oldest);
    this.#counts.set(key, { failures, last: now });
  }

  touch(key: string, now: number): void {
    const count = this.#counts.get(key);
    if (count) count.last = now;
  }

  takeBack(key: string): void {
    const count = this.#counts.get(key);
    if (!count) return;
    count.failures -= 1;
    if (count.failures <= 0) this.#counts.delete(key);
  }

  forget(key: string): void {
    this.#counts.delete(key);
  }

  #get(key: string, now: number): Count | undefined {
    const count = this.#counts.get(key);
    if (count && now - count.last > FORGET_MS) {
      this.#counts.delete(key);
      return undefined;
    }
    return count;
  }
}

function keysOf(name: string, address: string): { client: string; pair: string; who: string } {
  const client = networkOf(address.slice(0, MAX_KEY_LENGTH));
  const who = name.slice(0, MAX_KEY_LENGTH);
  return { client, pair: `${client} ${who}`, who };
}

/** Who has one IPv6 address has 2^64 of them. */
export function networkOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  if (!isIPv6(plain)) return plain;
  const [head = '', tail] = plain.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  const groups = [...before, ...Array<string>(zeros).fill('0'), ...after];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
