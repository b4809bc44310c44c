import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readHistory } from '#proto/bus/history.ts';
import type { Archive } from '#proto/jetstream/archive.ts';
import { quiet } from '../../../cli/connection/connect.ts';
import { until } from '../../support/until.ts';

/** A page that is not full is followed by the pause of a follower; a full one shows that it lags behind. */

const FULL = 500;

/** Answers pages of these sizes, one a request, and then none. */
class PagedArchive {
  requests = 0;
  #next = 1;
  readonly #sizes: number[];
  readonly #ended = Promise.withResolvers<void>();

  constructor(...sizes: number[]) {
    this.#sizes = sizes;
  }

  /** Answers the last request. */
  end(): void {
    this.#ended.resolve();
  }

  bounds = async () => ({ first: 1, last: Number.MAX_SAFE_INTEGER, made: 'once' });

  async read({ limit }: { limit: number }) {
    assert.equal(limit, FULL);
    this.requests += 1;
    const size = this.#sizes.shift();
    if (size === undefined) await this.#ended.promise;
    return Array.from({ length: size ?? 0 }, () => ({
      sequence: this.#next++,
      subject: 'events.t',
      data: new Uint8Array(),
    }));
  }
}

/** Lets everything happen that no timer holds up. */
const settle = async () => {
  for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
};

test('a follower pauses after a page that is not full, and not while it lags behind', async () => {
  for (const [batchMs, count, requests] of [
    [3_600_000, 2 * FULL + 20, 3],
    [1, 2 * FULL + 23, 5],
  ] as const) {
    const archive = new PagedArchive(FULL, FULL, 20, 3);
    const end = new AbortController();
    const options = { since: 1, follow: true, batchMs, signal: end.signal };
    let read = 0;
    const reading = (async () => {
      for await (const _past of readHistory(archive as unknown as Archive, options, quiet)) read += 1;
    })();
    await until(() => archive.requests === requests && read === count);
    await settle();
    assert.deepEqual([read, archive.requests], [count, requests]);
    end.abort();
    archive.end();
    await reading;
  }
});
