import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { type Maintained, Schedules } from '../../../services/storage/maintenance/schedules.ts';
import { quiet } from '../../support/bus.ts';
import { configurationWith } from '../../support/configuration.ts';
import { Minutes } from '../../support/time/minutes.ts';

/** Upkeep by the clock, over the end of a leap year's February, and reckoned minute by minute. */
const MINUTE = 60_000;
const START = Date.parse('2028-02-27T22:58:00Z');
const END = Date.parse('2028-03-03T00:02:00Z');

test('garbage collection and scrub begin at each of their times, once, and at no other', (t) => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: START });
  t.after(() => mock.timers.reset());
  const began = { collect: [] as number[], scrub: [] as number[] };
  const note = (what: keyof typeof began) => async () => void began[what].push(Date.now());
  const storage: Maintained = {
    configure: () => {},
    garbage: { collect: note('collect') },
    scrubber: { scrub: note('scrub') },
  };
  using schedules = new Schedules(storage, quiet);
  const plan = { collect: '0 0 * * *', scrub: '*/45 3 29,1 * 1' };
  schedules.set(
    configurationWith({ garbageCollection: { schedule: plan.collect }, scrub: { schedule: plan.scrub } }),
  );
  for (let left = END - START; left > 0; left -= MINUTE / 2) mock.timers.tick(MINUTE / 2);
  for (const what of ['collect', 'scrub'] as const) {
    const minutes = new Minutes(plan[what], undefined, START, END);
    const expected: string[] = [];
    for (let at = START + MINUTE; at < END; at += MINUTE)
      if (minutes.due(at)) expected.push(new Date(at).toISOString());
    assert.deepEqual(
      began[what].map((at) => new Date(at).toISOString()),
      expected,
    );
    assert.ok(expected.length > 3);
  }
});
