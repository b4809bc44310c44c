import { deepEqual, equal } from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import type { HistoryOptions, Past } from '#proto/bus/history.ts';
import type { HistoryReader } from '#proto/bus/roles.ts';
import { quiet } from '../../../cli/connection/connect.ts';
import { EventHub } from '../../../services/gateway/api/stream/event-hub.ts';

const event = { specversion: '1.0' as const, id: 'i', source: 's', type: 'terrace.t', time: 't', data: {} };

/** Has this number of events for those who follow. */
function historyOf(count: number): HistoryReader {
  async function* history({ signal }: HistoryOptions): AsyncGenerator<Past> {
    for (let sequence = 1; sequence <= count; sequence += 1) yield { sequence, event };
    if (signal && !signal.aborted) await once(signal, 'abort');
  }
  const archive = { bounds: async () => ({ first: 1, last: 0, made: 'once' }) };
  return { history, archive } as unknown as HistoryReader;
}

test('viewers keep pace with any number of events: no timer runs between two of them', async () => {
  const COUNT = 5_000;
  const hub = new EventHub(historyOf(COUNT), quiet);
  using _watch = hub.watch();
  const { ring } = await hub.current(new AbortController().signal);
  for (let turn = 0; turn < 100 && ring.size < COUNT; turn += 1) await new Promise(setImmediate);
  equal(ring.size, COUNT);
});

test('while the history can not be read, a viewer that leaves waits for nothing, and another one begins', async () => {
  const { promise, resolve } = Promise.withResolvers<{ first: number; last: number }>();
  const asked: number[] = [];
  const archive = {
    bounds: () => {
      asked.push(1);
      return asked.length === 1 ? new Promise(() => {}) : promise;
    },
  };
  const hub = new EventHub({ ...historyOf(0), archive } as unknown as HistoryReader, quiet);
  const end = new AbortController();
  const watch = hub.watch();
  const waiting = hub.current(end.signal);
  end.abort();
  equal((await waiting).ring.size, 0);
  watch[Symbol.dispose]();
  watch[Symbol.dispose]();
  equal(hub.viewers, 0);
  using _next = hub.watch();
  resolve({ first: 1, last: 0 });
  const { ring } = await hub.current(new AbortController().signal);
  deepEqual([ring.next, asked.length], [1, 2]);
});
