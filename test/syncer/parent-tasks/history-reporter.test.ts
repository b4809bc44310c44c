import assert from 'node:assert/strict';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { blobCommitted } from '#proto/content/content-events.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import { Fault } from '#proto/contract/fault.ts';
import { HISTORY_KEY, historyRefused, historyStatus } from '#proto/status/history-status.ts';
import type { LayerReport, LayersReport, StreamPosition } from '#proto/status/layers-below.ts';
import { reportHistory } from '../../../services/syncer/parent-tasks/history-reporter.ts';
import { ReportClock } from '../../../services/syncer/parent-tasks/layer-report.ts';
import type { LinkUse } from '../../../services/syncer/schedule/link-schedule.ts';
import { until } from '../../gateway/layer.ts';
import { quiet, TestBus } from '../../support/bus.ts';

/** What is told to a parent of a few lines, which believes whatever it is told. */

class Parent {
  place: StreamPosition | undefined;
  heard: number[] = [];
  reports: LayersReport[] = [];
  away = false;
  /** What it refuses for good. */
  refuses: (event: Envelope) => boolean = () => false;
  rests = 0;
  /** It says that it is elsewhere than whatever it is sent. */
  isElsewhere = false;
  /** Reports that came while it was away. */
  missed = 0;
  /** It has only so many of the events that it said it has. */
  loses(count: number): void {
    this.heard.splice(-count);
    const { made = '', sequence = 0 } = this.place ?? {};
    this.place = { made, sequence: sequence - count, id: `storage-test-${sequence - count}` };
  }

  suspend = () => {
    this.rests += 1;
  };

  send = async (body: LayersReport) => {
    if (this.away) {
      this.missed += 1;
      throw new Fault('parent-unreachable', 'away');
    }
    this.reports.push(body);
    const { made, after, restart, events } = body;
    if (events.some(({ event }) => this.refuses(event))) {
      return { refused: new Fault('parent-refused', 'POST: the parent answered 400') };
    }
    const follows = this.place ? this.place.made === made && this.place.sequence === after : after === 0;
    if (this.isElsewhere || (!restart && !follows)) return { taken: events.length === 0, place: this.place };
    for (const { sequence, event } of events) {
      this.heard.push((event.data as { size: number }).size);
      this.place = { made, sequence, id: event.id };
    }
    return { taken: true, place: this.place };
  };
}

const LIVE: LinkUse = { usable: true, live: true };

async function rig(hours: LinkUse = LIVE, isReported: (event: Envelope) => boolean = () => true) {
  const stack = new AsyncDisposableStack();
  const server = stack.use(await TestBus.start());
  const bus = await server.connect('syncer');
  const storage = await server.connect('storage');
  const parent = new Parent();
  const end = new AbortController();
  const own: LayerReport = { path: [], name: 'line', mode: 'ReadOnly', at: 0 };
  const state = { hours, layers: [own], reads: 0, failures: [] as unknown[] };
  const debug = (fields: object) => void state.failures.push((fields as { err?: unknown }).err);
  const passes = new Set<() => void>();
  const reporting = reportHistory(
    {
      bus,
      onPass: (heard) => {
        passes.add(heard);
        return () => void passes.delete(heard);
      },
      reports: async () => parent,
      link: () => state.hours,
      identity: async () => ({ instance: 'i' }),
      layers: async () => {
        state.reads += 1;
        return state.layers;
      },
      known: () => false,
      isReported,
      log: { ...quiet, debug },
      gatherMs: 20,
    },
    end.signal,
  );
  stack.defer(async () => {
    end.abort(new Error('over'));
    await reporting;
  });
  return {
    server,
    bus,
    storage,
    parent,
    state,
    passes: () => {
      for (const heard of passes) heard();
    },
    say: (...sizes: number[]) => {
      for (const size of sizes) storage.publish(blobCommitted, { digest: `sha256:${'0'.repeat(64)}`, size });
    },
    hears: (...sizes: number[]) => until(() => String(parent.heard) === String(sizes)),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

test('what happens is told in order, and what the parent has lost is told again', async () => {
  await using r = await rig();
  r.say(1, 2, 3);
  await r.hears(1, 2, 3);
  r.parent.loses(2);
  r.say(4);
  await r.hears(1, 2, 3, 4);
  assert.equal(r.parent.reports.at(-1)?.after, 1);
});

test('a parent that was away is told all of it when it is back', async () => {
  await using r = await rig();
  r.say(1);
  await r.hears(1);
  r.parent.away = true;
  r.say(2, 3);
  await until(() => r.parent.missed > 0);
  assert.deepEqual(r.parent.heard, [1]);
  r.parent.away = false;
  r.say(4);
  await r.hears(1, 2, 3, 4);
});

test('a stream that came back from an older copy is told anew, from its beginning', async () => {
  await using r = await rig();
  r.say(1);
  await r.hears(1);
  const store = join(r.server.folder, 'jetstream');
  const copy = join(r.server.folder, 'copy');
  await r.server.kill();
  await cp(store, copy, { recursive: true });
  await r.server.up();
  r.say(2, 3);
  await r.hears(1, 2, 3);
  await r.server.kill();
  await rm(store, { recursive: true });
  await cp(copy, store, { recursive: true });
  await r.server.up();
  // As many as were lost: the parent's place is there, and another event in it.
  r.say(4, 5);
  await r.hears(1, 2, 3, 1, 4, 5);
  assert.equal(r.parent.reports.find(({ restart }) => restart)?.events[0]?.sequence, 1);
});

test('a layer with a schedule isReported after its pass, and one whose window is closed nothing', async () => {
  await using r = await rig({ usable: true, live: false });
  await until(() => r.parent.reports.length > 0);
  r.say(1);
  const { length } = r.parent.reports;
  r.passes();
  await until(() => r.parent.heard.includes(1));
  assert.equal(
    r.parent.reports.slice(length).every(({ events }) => events.length > 0),
    true,
  );
  r.state.hours = { usable: false, live: false };
  const closed = r.parent.reports.length;
  r.say(2);
  r.passes();
  await r.bus.flush();
  r.state.hours = LIVE;
  r.say(3);
  await until(() => r.parent.heard.includes(3));
  assert.ok(
    r.parent.reports
      .slice(closed)
      .every(({ events }) => events.some(({ event }) => 'size' in (event.data as object))),
  );
});

test('how the layer stands is told when it has changed', async () => {
  await using r = await rig();
  await until(() => r.parent.reports.length > 0);
  assert.deepEqual(r.parent.reports[0]?.layers, r.state.layers);
  r.state.layers = [...r.state.layers, { path: ['cell'], name: 'cell', mode: 'ReadOnly', at: 1 }];
  r.say(1);
  await until(() => r.parent.reports.some(({ layers }) => layers?.length === 2));
});

test('figures that each pass changes are told by themselves only where passes are seldom, or the parent does not know that the layer is there', () => {
  const clock = new ReportClock();
  const link = { state: 'Online', since: 1, coordinator: 's', lastSync: 1, next: 60_000 } as const;
  const told = (more: object): LayerReport[] => [
    { path: [], name: 'line', mode: 'ReadOnly', at: 0, link: { ...link, ...more } },
  ];
  const later = { lastSync: 60_000, next: 120_000, passes: { count: 2, last: 60_000 } };
  clock.sent(told({}), 0);
  assert.ok(clock.isDue(told(later), 60_000, true), 'a pass an hour');
  clock.sent(told({ live: true }), 0);
  assert.ok(!clock.isDue(told({ ...later, live: true }), 60_000, true));
  assert.ok(!clock.isDue(told({ ...later, live: true }), 600_000, true));
  assert.ok(clock.isDue(told({ ...later, live: true }), 600_000, false));
  assert.ok(clock.isDue(told({ ...later, live: true, state: 'Offline' }), 60_000, true));
});

test('what is not for the parent is left out, and the parent is told each of the others once all the same', async () => {
  const even = ({ data }: Envelope) => (data as { size: number }).size % 2 === 0;
  await using r = await rig(LIVE, even);
  r.say(1, 3, 5);
  r.say(2, 3, 4, 5, 7);
  await r.hears(2, 4);
  const { length } = r.parent.reports;
  r.say(9, 11, 6, 13);
  await r.hears(2, 4, 6);
  // Each went on where the parent was, and none had to be told again.
  const later = r.parent.reports.slice(length).filter(({ events }) => events.length > 0);
  assert.deepEqual(
    later.map(({ after, restart }) => [after, restart]),
    [[6, undefined]],
  );
  r.parent.loses(1);
  r.say(8);
  await r.hears(2, 4, 6, 8);
});

test('the store is lost while nothing was for the parent: what is in the new one is told', async () => {
  await using r = await rig(LIVE, ({ data }) => (data as { size: number }).size > 9);
  r.say(10, 1, 2, 3, 4, 5, 11);
  await r.hears(10, 11);
  r.say(6, 7, 8, 9);
  await r.server.kill({ forget: true });
  await r.server.up();
  r.say(12);
  await r.hears(10, 11, 12);
});

test('an event that the parent refuses for good is passed over and said, and what is behind it goes up', async () => {
  await using r = await rig();
  const sizeOf = ({ data }: Envelope) => (data as { size?: number }).size;
  r.parent.refuses = (event) => [3, 4].includes(sizeOf(event) ?? 0);
  const refused: number[] = [];
  r.bus.listen(historyRefused, ({ data }) => refused.push(data.count));
  r.say(1, 2, 3, 4, 5, 6);
  await until(() => r.parent.heard.includes(6), 20_000);
  assert.deepEqual(r.parent.heard.filter(Boolean), [1, 2, 5, 6]);
  await until(() => refused.reduce((sum, count) => sum + count, 0) === 2, 20_000);
  const { value } = (await r.bus.get(historyStatus, HISTORY_KEY)) ?? {};
  assert.equal(value?.count, 2);
  assert.match(value?.last.reason ?? '', /answered 400/);
  // One that nothing is behind keeps nothing back, and is not sent again with each look.
  r.say(3);
  await until(async () => (await r.bus.get(historyStatus, HISTORY_KEY))?.value.count === 3, 20_000);
  r.say(7);
  await until(() => r.parent.heard.includes(7), 20_000);
  assert.equal(r.parent.rests, 0);
});

test('data that are too large to go from layer to layer stay here, and the parent is told how large they are', async () => {
  await using r = await rig();
  const large: Envelope = {
    specversion: '1.0',
    id: 'a-1',
    source: '/layers/cell/a',
    type: 'terrace.tag.moved',
    time: '2030-01-01T00:00:00.000Z',
    data: { text: 'x'.repeat(250_000) },
  };
  // As an earlier version let it in.
  await r.storage.relay.store('cell', { made: 'm', sequence: 1 }, large);
  const told = () => r.parent.reports.flatMap(({ events }) => events.map(({ event }) => event));
  await until(() => told().some(({ id }) => id === 'a-1'));
  assert.deepEqual(told().find(({ id }) => id === 'a-1')?.data, { leftOutBytes: 250_011 });
});

test('a parent that refuses every event is left alone, and is told all of them when it takes some', async () => {
  await using r = await rig();
  r.parent.refuses = () => true;
  r.say(...Array.from({ length: 15 }, (_, index) => index + 1));
  await until(() => r.parent.rests > 0, 20_000);
  assert.deepEqual(r.parent.heard, []);
  r.parent.refuses = () => false;
  await until(() => r.parent.heard.includes(15), 30_000);
  assert.deepEqual(
    r.parent.heard.filter(Boolean),
    Array.from({ length: 15 }, (_, index) => index + 1),
  );
});

test('a parent that is never where it said that it is gets the same events twice, and then not at once', async () => {
  await using r = await rig();
  r.parent.isElsewhere = true;
  r.say(1);
  await until(() => r.state.failures.length > 0);
  assert.ok(Fault.is(r.state.failures[0], 'parent-invalid'));
  assert.equal(r.parent.reports.filter(({ events }) => events.length > 0).length, 2);
  r.parent.isElsewhere = false;
  await r.hears(1);
});

test('how the layers stand is not read again with each event', async () => {
  const began = Date.now();
  await using r = await rig();
  for (let size = 1; size <= 5; size += 1) {
    r.say(size);
    await until(() => r.parent.heard.includes(size));
  }
  assert.ok(r.state.reads <= 1 + (Date.now() - began) / 5_000, `${r.state.reads} reads`);
});
