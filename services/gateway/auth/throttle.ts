import { isIPv6 } from 'node:net';
import { BoundedMap } from '#proto/contract/bounded-map.ts';

/**
 * Slows down password guessing. Failures are counted in three ways:
 *
 *   name and address   the strict limit: after a few failures, this client may try this name only at intervals
 *   address            a higher limit: a client that tries many names, or a site whose clients share an address
 *   name               only delays each attempt a little. A refusal would let anyone lock out the owner of a name
 *                      remotely; a right password from an address without failures only waits, unless too many
 *                      attempts wait already
 *
 * An attempt counts as failed from its start until it succeeds, so that concurrent attempts do not bypass the limits.
 * Refused attempts are not counted. Counts expire after a quiet period, and the maps are bounded.
 */

/** After `free` failures, each wait doubles, from `firstMs` to `maxMs`. */
type Limit = { free: number; firstMs: number; maxMs: number };
export const limits = {
  pair: { free: 5, firstMs: 1_000, maxMs: 60_000 },
  address: { free: 50, firstMs: 1_000, maxMs: 60_000 },
  name: { free: 20, firstMs: 100, maxMs: 2_000 },
} satisfies Record<string, Limit>;

/** A count expires after this time without another failure, in ms. */
export const FORGET_MS = 10 * 60_000;
/** Max counts of each kind. */
export const MAX_COUNTS = 10_000;
/** Max length of a name or an address in a key, in characters: no token name and no address is longer. */
const MAX_KEY_LENGTH = 80;

/** `refusedMs`: try again after this time. `delayMs`: wait this long, then check the password. */
export type Attempt = { refusedMs: number } | { delayMs: number };

export class Throttle {
  readonly #pairs = new Failures(limits.pair);
  readonly #addresses = new Failures(limits.address);
  readonly #names = new Failures(limits.name);

  /** @param now ms, of a monotonic clock */
  begin(name: string, address: string, now: number): Attempt {
    const { client, pair, token } = keysOf(name, address);
    const refusedMs = Math.max(this.#pairs.wait(pair, now), this.#addresses.wait(client, now));
    if (refusedMs > 0) return { refusedMs };
    const delayMs = this.#names.pause(token, now);
    this.#pairs.add(pair, now);
    this.#addresses.add(client, now);
    this.#names.add(token, now);
    return { delayMs };
  }

  /** The attempt failed: the wait starts when its client gets the answer. */
  failed(name: string, address: string, now: number): void {
    const { client, pair } = keysOf(name, address);
    this.#pairs.touch(pair, now);
    this.#addresses.touch(client, now);
  }

  /** The attempt succeeded: its counts are undone, and this client may fail with this name again from zero. */
  succeeded(name: string, address: string): void {
    const { client, pair, token } = keysOf(name, address);
    this.#pairs.forget(pair);
    this.#addresses.takeBack(client);
    this.#names.takeBack(token);
  }

  /** The attempt ended without a result: it is not counted. */
  cancelled(name: string, address: string): void {
    const { client, pair, token } = keysOf(name, address);
    this.#pairs.takeBack(pair);
    this.#addresses.takeBack(client);
    this.#names.takeBack(token);
  }

  get size(): number {
    return this.#pairs.size + this.#addresses.size + this.#names.size;
  }
}

type Count = { failures: number; last: number };

class Failures {
  readonly #limit: Limit;
  readonly #counts = new BoundedMap<Count>(MAX_COUNTS);

  constructor(limit: Limit) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#counts.size;
  }

  /** The wait after each failure now, in ms. */
  pause(key: string, now: number): number {
    const { free, firstMs, maxMs } = this.#limit;
    const over = (this.#get(key, now)?.failures ?? 0) - free;
    return over < 0 ? 0 : Math.min(maxMs, firstMs * 2 ** Math.min(over, 30));
  }

  /** The part of that wait that is left, in ms. */
  wait(key: string, now: number): number {
    const pause = this.pause(key, now);
    return pause === 0 ? 0 : Math.max(0, (this.#counts.get(key) as Count).last + pause - now);
  }

  add(key: string, now: number): void {
    const failures = (this.#get(key, now)?.failures ?? 0) + 1;
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

function keysOf(name: string, address: string): { client: string; pair: string; token: string } {
  const client = networkOf(address.slice(0, MAX_KEY_LENGTH));
  const token = name.slice(0, MAX_KEY_LENGTH);
  return { client, pair: `${client} ${token}`, token };
}

/** The /64 network of an IPv6 address, as a client with one address has 2^64 of them; else the address. */
export function networkOf(address: string): string {
  const [plain = ''] = address.replace(/^::ffff:(?=\d+\.)/i, '').split('%', 1);
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
