import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storageStarted } from '#proto/content/content-events.ts';
import { advance, HistoryAge } from '../../../services/storage/history/history-age.ts';
import type { AgeMarks } from '../../../services/storage/metadata/records.ts';
import { quiet, TestBus } from '../../support/bus.ts';
import { until } from '../../support/until.ts';

/** Events are retained for the time of the configuration, by the age of the layer. */

const DAY = 86_400_000;
const HOUR = DAY / 24;

/** A history on a bus, and the clock by which it ages. */
async function fixture(server: TestBus) {
  const bus = await server.connect('storage');
  let marks: AgeMarks | undefined;
  const clock = { now: 0 };
  const metadata = {
    ageMarks: async () => marks,
    writeUnsynced: async ([change]: unknown[]) => {
      marks = (change as { value: AgeMarks }).value;
    },
  };
  const open = () => new HistoryAge({ bus, metadata, age: { now: () => clock.now }, log: quiet });
  /** Publishes one more event. */
  const publish = async () => {
    const { last } = await bus.archive.bounds();
    bus.publish(storageStarted, {});
    await until(async () => (await bus.archive.bounds()).last === last + 1);
  };
  const bounds = async () => {
    const { first, last } = await bus.archive.bounds();
    return [first, last];
  };
  return { clock, open, publish, bounds };
}

test('events are deleted once the layer has run for their retention, also over restarts', async () => {
  await using server = await TestBus.start();
  const { clock, open, publish, bounds } = await fixture(server);
  let age = open();
  age.set(2 * DAY);
  await publish();
  await age.round();
  clock.now = HOUR;
  await publish();
  await age.round();
  age = open();
  age.set(2 * DAY);
  clock.now = 2 * DAY - 1;
  await age.round();
  assert.deepEqual(await bounds(), [1, 2]);
  clock.now = 2 * DAY;
  await age.round();
  assert.deepEqual(await bounds(), [2, 2]);
  clock.now = 2 * DAY + HOUR;
  await age.round();
  assert.deepEqual(await bounds(), [3, 2]);
});

test('a shorter retention takes effect at once, and a stream that was created again begins again', async () => {
  await using server = await TestBus.start();
  const { clock, open, publish, bounds } = await fixture(server);
  const age = open();
  const end = new AbortController();
  age.set(7 * DAY);
  await publish();
  await age.round();
  clock.now = 2 * DAY;
  const running = age.run(end.signal);
  age.set(DAY);
  await until(async () => (await bounds())[0] === 2, 'the deletion');
  end.abort();
  await running;
  await server.kill({ forget: true });
  await server.up();
  await until(() =>
    publish().then(
      () => true,
      () => false,
    ),
  );
  clock.now += DAY;
  await age.round();
  assert.equal((await bounds())[0], 1);
});

test('the number of marks is bounded, and the oldest ones are given up', () => {
  let marks: [number, number][] = [];
  for (let at = 0; at < 1_000; at += 1) ({ marks } = advance(marks, at, at + 1, 10_000));
  assert.equal(marks.length, 500);
  assert.deepEqual(marks.at(-1), [999, 1_000]);
  assert.equal(advance(marks, 10_499, 1_000, 10_000).before, undefined);
  assert.equal(advance(marks, 10_500, 1_000, 10_000).before, 502);
});
