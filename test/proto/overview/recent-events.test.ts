import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode } from '@msgpack/msgpack';
import type { HistoryReader } from '#proto/bus/roles.ts';
import type { ArchiveQuery } from '#proto/jetstream/archive.ts';
import { recentEvents } from '#proto/overview/recent-events.ts';

const PAGE = 500;

/** A history in which each tenth event is a push, and each `every`th one the end of a pass. */
class BusyHistory {
  pages = 0;
  readonly #first: number;
  readonly #last: number;
  readonly #every: number;

  constructor(first: number, last: number, every: number) {
    this.#first = first;
    this.#last = last;
    this.#every = every;
  }

  #typeOf(sequence: number): string {
    if (sequence % this.#every === 0) return 'pass.finished';
    return sequence % 10 === 0 ? 'tag.moved' : 'image.finished';
  }

  archive = {
    bounds: async () => ({ first: this.#first, last: this.#last, made: 'once' }),
    read: async ({ from, subject, limit }: ArchiveQuery) => {
      this.pages += 1;
      assert.ok('sequence' in from && limit === PAGE);
      const prefix = subject?.replace(/^events\.|>$/g, '') ?? '';
      const page = [];
      for (let at = Math.max(this.#first, from.sequence); at <= this.#last && page.length < limit; at += 1) {
        const type = this.#typeOf(at);
        if (!type.startsWith(prefix)) continue;
        const time = new Date(at).toISOString();
        const event = {
          specversion: '1.0',
          id: `${at}`,
          source: 's',
          type: `terrace.${type}`,
          time,
          data: {},
        };
        page.push({ sequence: at, subject: `events.${type}`, data: encode(event) });
      }
      return page;
    },
  };

  recent = (query: Parameters<typeof recentEvents>[1]) =>
    recentEvents(this as unknown as HistoryReader, query);
}

const sequences = ({ events }: Awaited<ReturnType<typeof recentEvents>>) =>
  events.map(({ sequence }) => sequence);

test('the last events of a rare subject are found at the end of a long history', async () => {
  const history = new BusyHistory(1, 1_000_000, 100_000);
  const found = await history.recent({ subject: 'events.pass.>', limit: 3 });
  assert.deepEqual(sequences(found), [1_000_000, 900_000, 800_000]);
  assert.equal(found.complete, false);
  const before = await history.recent({ subject: 'events.pass.>', limit: 3, before: 300_000 });
  assert.deepEqual(sequences(before), [200_000, 100_000]);
  assert.equal(before.complete, true);
});

test('of a dense history, only its end is read', async () => {
  const history = new BusyHistory(1, 1_000_000, 100_000);
  const { events } = await history.recent({ limit: 300 });
  assert.deepEqual([events.length, events[0]?.sequence, events.at(-1)?.sequence], [300, 1_000_000, 999_701]);
  assert.equal(history.pages, 1);
});

test('a search is bounded, and what it found is the newest', async () => {
  const history = new BusyHistory(1, 1_000_000, 100_000);
  const fits = ({ type }: { type: string }) => type === 'terrace.tag.moved';
  const found = await history.recent({ limit: 10_000, fits });
  assert.ok(history.pages <= 12);
  assert.equal(found.complete, false);
  const expected = Array.from({ length: 10 }, (_, index) => 999_990 - 10 * index);
  assert.deepEqual(sequences(found).slice(0, 10), expected);
});

test('a short history is complete, also one that begins late or is empty', async () => {
  const history = new BusyHistory(901, 1_000, 50);
  const found = await history.recent({ subject: 'events.pass.>', limit: 10 });
  assert.deepEqual([sequences(found), found.complete], [[1_000, 950], true]);
  assert.deepEqual(await new BusyHistory(1, 0, 1).recent({ limit: 10 }), { events: [], complete: true });
});
