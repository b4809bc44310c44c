import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { EventReaders, type HistoryQuery, KNOWN_MS } from '#proto/jetstream/event-readers.ts';
import type { Pulled } from '#proto/jetstream/pull.ts';

/** A server with one event at each sequence; it can fail. */
let made: string[];
let existing: Set<string>;
let fails: boolean;
let readers: EventReaders;
let now: number;

beforeEach(() => {
  [made, existing, fails, now] = [[], new Set(), false, 0];
  mock.method(performance, 'now', () => now);
  const next = new Map<string, number>();
  const delivered = new Map<string, number>();
  readers = new EventReaders({
    make: async (from) => {
      const name = `reader-${made.length + 1}`;
      made.push(name);
      existing.add(name);
      next.set(name, 'sequence' in from ? from.sequence : 1);
      return name;
    },
    pull: async (name, { batch }) => {
      if (fails) throw new Error('no answer');
      return Array.from({ length: batch }, () => {
        const sequence = next.get(name) as number;
        next.set(name, sequence + 1);
        delivered.set(name, (delivered.get(name) ?? 0) + 1);
        return {
          sequence,
          subject: 'events.a',
          data: new Uint8Array(),
          delivered: delivered.get(name),
        } as Pulled;
      });
    },
    drop: (name) => void existing.delete(name),
  });
});
afterEach(() => mock.reset());

const query = (sequence: number): HistoryQuery => ({
  from: { sequence },
  subject: undefined,
  limit: 2,
  maxBytes: 1_000,
  waitMs: 0,
});
const read = async (sequence: number) =>
  (await readers.page(query(sequence), 'monitor')).map((event) => event.sequence);

test('sequential pages are read through one consumer', async () => {
  assert.deepEqual(
    [await read(1), await read(3)],
    [
      [1, 2],
      [3, 4],
    ],
  );
  assert.deepEqual(made, ['reader-1']);
});

test('a consumer idle for so long that the server may have deleted it is dropped', async () => {
  for (let sequence = 1; sequence < 20; sequence += 2) {
    await read(sequence);
    now += KNOWN_MS;
  }
  assert.equal(made.length, 10);
  assert.deepEqual([...existing], ['reader-10']);
});

test('a consumer that does not answer is dropped', async () => {
  fails = true;
  for (let attempt = 0; attempt < 5; attempt += 1) await assert.rejects(read(1), /no answer/);
  assert.equal(made.length, 5);
  assert.deepEqual([...existing], []);
});
