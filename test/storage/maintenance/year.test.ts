import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { type Maintained, Schedules } from '../../../services/storage/maintenance/schedules.ts';
import { quiet } from '../../support/bus.ts';
import { configurationWith } from '../../support/configuration.ts';
import { ScheduleModel } from '../../support/time/minutes.ts';

/** Scheduled maintenance over the end of February in a leap year, compared with a check of every minute. */
const MINUTE = 60_000;
const START = Date.parse('2028-02-27T22:58:00Z');
const END = Date.parse('2028-03-03T00:02:00Z');

test('garbage collection and scrub start once at each of their times, and at no other', (t) => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: START });
  t.after(() => mock.timers.reset());
  const starts = { collect: [] as number[], scrub: [] as number[] };
  const record = (task: keyof typeof starts) => async () => void starts[task].push(Date.now());
  const storage: Maintained = {
    configure: () => {},
    garbage: { collect: record('collect') },
    scrubber: { scrub: record('scrub') },
  };
  using schedules = new Schedules(storage, quiet);
  const plan = { collect: '0 0 * * *', scrub: '*/45 3 29,1 * 1' };
  schedules.set(
    configurationWith({ garbageCollection: { schedule: plan.collect }, scrub: { schedule: plan.scrub } }),
  );
  for (let left = END - START; left > 0; left -= MINUTE / 2) mock.timers.tick(MINUTE / 2);
  for (const task of ['collect', 'scrub'] as const) {
    const minutes = new ScheduleModel(plan[task], undefined, START, END);
    const expected: string[] = [];
    for (let at = START + MINUTE; at < END; at += MINUTE)
      if (minutes.isDue(at)) expected.push(new Date(at).toISOString());
    assert.deepEqual(
      starts[task].map((at) => new Date(at).toISOString()),
      expected,
    );
    assert.ok(expected.length > 3);
  }
});
