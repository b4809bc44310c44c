import assert from 'node:assert/strict';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { blobCommitted } from '#proto/content/content-events.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import { Fault } from '#proto/contract/fault.ts';
import { HISTORY_KEY, historyRefused, historyStatus } from '#proto/status/history-status.ts';
import {
  type LayerReport,
  type LayersReport,
  MAX_EVENTS,
  type StreamPosition,
} from '#proto/status/layers-below.ts';
import { type ReporterDeps, reportHistory } from '../../../services/syncer/parent-tasks/history-reporter.ts';
import { ReportClock } from '../../../services/syncer/parent-tasks/layer-report.ts';
import type { LinkUse } from '../../../services/syncer/schedule/link-schedule.ts';
import { quiet, TestBus } from '../../support/bus.ts';
import { until } from '../../support/until.ts';

/** The history that is sent to a parent that stores all that it receives. */

class Parent {
  place: StreamPosition | undefined;
  received: number[] = [];
  reports: LayersReport[] = [];
  unreachable = false;
  /** Events that it refuses permanently. */
  refuses: (event: Envelope) => boolean = () => false;
  suspensions = 0;
  /** It rejects every batch as not at its place. */
  isElsewhere = false;
  /** Reports while it was unreachable. */
  missed = 0;
  /** It loses its last `count` events. */
  loses(count: number): void {
    this.received.splice(-count);
    const { made = '', sequence = 0 } = this.place ?? {};
    this.place = { made, sequence: sequence - count, id: `storage-test-${sequence - count}` };
  }

  suspend = () => {
    this.suspensions += 1;
  };

  send = async (body: LayersReport) => {
    if (this.unreachable) {
      this.missed += 1;
      throw new Fault('parent-unreachable', 'unreachable');
    }
    this.reports.push(body);
    const { made, after, restart, events } = body;
    if (events.some(({ event }) => this.refuses(event))) {
      return { refused: new Fault('parent-refused', 'POST: the parent answered 400') };
    }
    const follows = this.place ? this.place.made === made && this.place.sequence === after : after === 0;
    if (this.isElsewhere || (!restart && !follows)) return { taken: events.length === 0, place: this.place };
    for (const { sequence, event } of events) {
      this.received.push((event.data as { size: number }).size);
      this.place = { made, sequence, id: event.id };
    }
    return { taken: true, place: this.place };
  };
}

const LIVE: LinkUse = { usable: true, live: true };

type RigOptions = Pick<ReporterDeps, 'isReported' | 'intervalMs'>;

async function rig(linkUse: LinkUse = LIVE, options: RigOptions = {}) {
  const stack = new AsyncDisposableStack();
  const server = stack.use(await TestBus.start());
  const bus = await server.connect('syncer');
  const storage = await server.connect('storage');
  const parent = new Parent();
  const end = new AbortController();
  const own: LayerReport = { path: [], name: 'line', mode: 'ReadOnly', at: 0 };
  const state = { linkUse, layers: [own], reads: 0, failures: [] as unknown[] };
  const debug = (fields: object) => void state.failures.push((fields as { err?: unknown }).err);
  const passes = new Set<() => void>();
  const reporting = reportHistory(
    {
      bus,
      onPass: (listener) => {
        passes.add(listener);
        return () => void passes.delete(listener);
      },
      reports: async () => parent,
      link: () => state.linkUse,
      identity: async () => ({ instance: 'i' }),
      layers: async () => {
        state.reads += 1;
        return state.layers;
      },
      known: () => false,
      ...options,
      log: { ...quiet, debug },
      gatherMs: 20,
    },
    end.signal,
  );
  stack.defer(async () => {
    end.abort(new Error('the test is over'));
    await reporting;
  });
  return {
    server,
    bus,
    storage,
    parent,
    state,
    endPass: () => {
      for (const listener of passes) listener();
    },
    publish: (...sizes: number[]) => {
      for (const size of sizes) storage.publish(blobCommitted, { digest: `sha256:${'0'.repeat(64)}`, size });
    },
    receives: (...sizes: number[]) => until(() => String(parent.received) === String(sizes)),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

test('events are sent in order, and events that the parent lost are sent again', async () => {
  await using r = await rig();
  r.publish(1, 2, 3);
  await r.receives(1, 2, 3);
  r.parent.loses(2);
  r.publish(4);
  await r.receives(1, 2, 3, 4);
  assert.equal(r.parent.reports.at(-1)?.after, 1);
});

test('a parent that was unreachable receives all events when it answers again', async () => {
  await using r = await rig();
  r.publish(1);
  await r.receives(1);
  r.parent.unreachable = true;
  r.publish(2, 3);
  await until(() => r.parent.missed > 0);
  assert.deepEqual(r.parent.received, [1]);
  r.parent.unreachable = false;
  r.publish(4);
  await r.receives(1, 2, 3, 4);
});

test('a stream that was restored from an older copy is sent again from its beginning', async () => {
  await using r = await rig();
  r.publish(1);
  await r.receives(1);
  const store = join(r.server.folder, 'jetstream');
  const copy = join(r.server.folder, 'copy');
  await r.server.kill();
  await cp(store, copy, { recursive: true });
  await r.server.up();
  r.publish(2, 3);
  await r.receives(1, 2, 3);
  await r.server.kill();
  await rm(store, { recursive: true });
  await cp(copy, store, { recursive: true });
  await r.server.up();
  // As many as were lost: the sequence of the parent's place exists, with another event.
  r.publish(4, 5);
  await r.receives(1, 2, 3, 1, 4, 5);
  assert.equal(r.parent.reports.find(({ restart }) => restart)?.events[0]?.sequence, 1);
});

test('with a schedule, the history is sent after a pass, and nothing is sent while the window is closed', async () => {
  await using r = await rig({ usable: true, live: false });
  await until(() => r.parent.reports.length > 0);
  r.publish(1);
  const { length } = r.parent.reports;
  r.endPass();
  await until(() => r.parent.received.includes(1));
  assert.equal(
    r.parent.reports.slice(length).every(({ events }) => events.length > 0),
    true,
  );
  r.state.linkUse = { usable: false, live: false };
  const closed = r.parent.reports.length;
  r.publish(2);
  r.endPass();
  await r.bus.flush();
  r.state.linkUse = LIVE;
  r.publish(3);
  await until(() => r.parent.received.includes(3));
  assert.ok(
    r.parent.reports
      .slice(closed)
      .every(({ events }) => events.some(({ event }) => 'size' in (event.data as object))),
  );
});

test('the status of the layers is sent when it has changed', async () => {
  await using r = await rig();
  await until(() => r.parent.reports.length > 0);
  assert.deepEqual(r.parent.reports[0]?.layers, r.state.layers);
  r.state.layers = [...r.state.layers, { path: ['cell'], name: 'cell', mode: 'ReadOnly', at: 1 }];
  r.publish(1);
  await until(() => r.parent.reports.some(({ layers }) => layers?.length === 2));
});

test('with a schedule, a status that changed soon after the last report is sent without another pass', async () => {
  await using r = await rig({ usable: true, live: false }, { intervalMs: 1_000 });
  await until(() => r.parent.reports.length > 0);
  r.state.layers = [...r.state.layers, { path: ['cell'], name: 'cell', mode: 'ReadOnly', at: 1 }];
  r.endPass();
  await until(() => r.parent.reports.some(({ layers }) => layers?.length === 2));
});

test('the status says how many events wait, while many do and once none does', async () => {
  await using r = await rig({ usable: true, live: false }, { intervalMs: 300 });
  r.publish(1);
  await r.receives(1);
  r.parent.unreachable = true;
  r.publish(...Array.from({ length: 2 * MAX_EVENTS }, (_, index) => index + 2));
  await until(async () => (await r.bus.archive.bounds()).last > 2 * MAX_EVENTS);
  r.endPass();
  await until(() => r.parent.missed > 0);
  r.parent.unreachable = false;
  const waiting = () => r.parent.reports.flatMap(({ layers = [] }) => layers[0]?.waiting ?? []);
  await until(() => waiting().includes(2 * MAX_EVENTS) && waiting().at(-1) === 0);
  assert.equal(r.parent.received.length, 2 * MAX_EVENTS + 1);
});

test('figures that each pass changes cause a report only while the link is not live, or if presence is unknown', () => {
  const clock = new ReportClock();
  const link = { state: 'Online', since: 1, coordinator: 's', lastSync: 1, next: 60_000 } as const;
  const reports = (more: object): LayerReport[] => [
    { path: [], name: 'line', mode: 'ReadOnly', at: 0, link: { ...link, ...more } },
  ];
  const later = { lastSync: 60_000, next: 120_000, passes: { count: 2, last: 60_000 } };
  clock.sent(reports({}), 0);
  assert.ok(clock.isDue(reports(later), 60_000, true), 'the link is not live');
  clock.sent(reports({ live: true }), 0);
  assert.ok(!clock.isDue(reports({ ...later, live: true }), 60_000, true));
  assert.ok(!clock.isDue(reports({ ...later, live: true }), 600_000, true));
  assert.ok(clock.isDue(reports({ ...later, live: true }), 600_000, false));
  assert.ok(clock.isDue(reports({ ...later, live: true, state: 'Offline' }), 60_000, true));
});

test('events that are not for the parent are left out, and it receives each of the others once', async () => {
  const even = ({ data }: Envelope) => (data as { size: number }).size % 2 === 0;
  await using r = await rig(LIVE, { isReported: even });
  r.publish(1, 3, 5);
  r.publish(2, 3, 4, 5, 7);
  await r.receives(2, 4);
  const { length } = r.parent.reports;
  r.publish(9, 11, 6, 13);
  await r.receives(2, 4, 6);
  // Each report continued from the parent's place, and none was sent again.
  const later = r.parent.reports.slice(length).filter(({ events }) => events.length > 0);
  assert.deepEqual(
    later.map(({ after, restart }) => [after, restart]),
    [[6, undefined]],
  );
  r.parent.loses(1);
  r.publish(8);
  await r.receives(2, 4, 6, 8);
});

test('after the store was lost while no event was for the parent, the events in the new one are sent', async () => {
  await using r = await rig(LIVE, { isReported: ({ data }) => (data as { size: number }).size > 9 });
  r.publish(10, 1, 2, 3, 4, 5, 11);
  await r.receives(10, 11);
  r.publish(6, 7, 8, 9);
  await r.server.kill({ forget: true });
  await r.server.up();
  r.publish(12);
  await r.receives(10, 11, 12);
});

test('an event that the parent refuses permanently is skipped and reported, and later events are sent', async () => {
  await using r = await rig();
  const sizeOf = ({ data }: Envelope) => (data as { size?: number }).size;
  r.parent.refuses = (event) => [3, 4].includes(sizeOf(event) ?? 0);
  const refused: number[] = [];
  r.bus.listen(historyRefused, ({ data }) => refused.push(data.count));
  r.publish(1, 2, 3, 4, 5, 6);
  await until(() => r.parent.received.includes(6));
  assert.deepEqual(r.parent.received.filter(Boolean), [1, 2, 5, 6]);
  await until(() => refused.reduce((sum, count) => sum + count, 0) === 2);
  const { value } = (await r.bus.get(historyStatus, HISTORY_KEY)) ?? {};
  assert.equal(value?.count, 2);
  assert.match(value?.last.reason ?? '', /answered 400/);
  // A refused event at the end delays no later event, and is not sent again each round.
  r.publish(3);
  await until(async () => (await r.bus.get(historyStatus, HISTORY_KEY))?.value.count === 3);
  r.publish(7);
  await until(() => r.parent.received.includes(7));
  assert.equal(r.parent.suspensions, 0);
});

test('data above the limit between layers are left out, and the parent receives their size', async () => {
  await using r = await rig();
  const large: Envelope = {
    specversion: '1.0',
    id: 'a-1',
    source: '/layers/cell/a',
    type: 'terrace.tag.moved',
    time: '2030-01-01T00:00:00.000Z',
    data: { text: 'x'.repeat(250_000) },
  };
  // As an earlier version accepted it.
  await r.storage.relay.store('cell', { made: 'm', sequence: 1 }, large);
  const received = () => r.parent.reports.flatMap(({ events }) => events.map(({ event }) => event));
  await until(() => received().some(({ id }) => id === 'a-1'));
  assert.deepEqual(received().find(({ id }) => id === 'a-1')?.data, { leftOutBytes: 250_011 });
});

test('a parent that refuses every event is suspended, and receives all events once it accepts some', async () => {
  await using r = await rig();
  r.parent.refuses = () => true;
  r.publish(...Array.from({ length: 15 }, (_, index) => index + 1));
  await until(() => r.parent.suspensions > 0);
  assert.deepEqual(r.parent.received, []);
  r.parent.refuses = () => false;
  await until(() => r.parent.received.includes(15));
  assert.deepEqual(
    r.parent.received.filter(Boolean),
    Array.from({ length: 15 }, (_, index) => index + 1),
  );
});

test('a parent that does not continue from its reported place receives the events twice, then after a backoff', async () => {
  await using r = await rig();
  r.parent.isElsewhere = true;
  r.publish(1);
  await until(() => r.state.failures.length > 0);
  assert.ok(Fault.is(r.state.failures[0], 'parent-invalid'));
  assert.equal(r.parent.reports.filter(({ events }) => events.length > 0).length, 2);
  r.parent.isElsewhere = false;
  await r.receives(1);
});

test('the status of the layers is not read again for each event', async () => {
  const began = Date.now();
  await using r = await rig();
  for (let size = 1; size <= 5; size += 1) {
    r.publish(size);
    await until(() => r.parent.received.includes(size));
  }
  assert.ok(r.state.reads <= 1 + (Date.now() - began) / 5_000, `${r.state.reads} reads`);
});
