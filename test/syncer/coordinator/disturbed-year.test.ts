import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { createActor, fromCallback, fromPromise } from 'xstate';
import { tagMoved } from '#proto/content/content-events.ts';
import type { Event } from '#proto/contract/contract.ts';
import { PassClock } from '../../../services/syncer/coordinator/pass-clock.ts';
import type { PassInput } from '../../../services/syncer/coordinator/pass-runner.ts';
import { syncerMachine } from '../../../services/syncer/coordinator/syncer.machine.ts';
import type { TermState } from '../../../services/syncer/coordinator/term-tasks.ts';
import { subscribeTriggers, type TriggerDeps } from '../../../services/syncer/coordinator/triggers.ts';
import type { PassRequest } from '../../../services/syncer/reconcile/context/pass-request.ts';
import { abortAtClose } from '../../../services/syncer/schedule/abort-at-close.ts';
import { linkAt } from '../../../services/syncer/schedule/link-schedule.ts';
import type { ScheduleTimes } from '../../../services/syncer/schedule/window.ts';
import { quiet } from '../../support/bus.ts';
import { Minutes } from '../../support/time/minutes.ts';
import { random } from '../../support/time/random.ts';
import { SimulatedTime } from '../../support/time/simulated-time.ts';

/**
 * A year in which passes take hours and fail, clients push, the schedule changes, the clock is set and the machine
 * sleeps. What the clock, the machine, the windows' ends and the triggers of the syncer make of it is compared with
 * what is reckoned minute by minute.
 */
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const START = Date.parse('2027-12-31T23:57:00Z');
const END = Date.parse('2029-01-01T00:03:00Z');
/** How exactly things happen, in ms: timers are late by a little. */
const EXACT = 10;
/** After the clock was set it takes so long at most until that is seen. */
const SEEN = MINUTE + EXACT;
/** What triggers gather. */
const SOON = 1_000;

const all: ScheduleTimes[] = [
  { schedule: '0 2 * * *', windowMs: 2 * HOUR },
  { schedule: '30 22 31 * *', windowMs: 4 * HOUR },
  { schedule: '0 0 29 2 *', windowMs: DAY },
  { schedule: '*/20 6-9 * * *', windowMs: 30 * MINUTE },
  { schedule: '0 0 * * 0', windowMs: 3 * DAY },
  { schedule: '0 6 * * 1-5' },
  { schedule: '15 4 1,15 * 5' },
  { schedule: '0 */3 * * *' },
  { schedule: '* * * * *' },
];

type Pass = { asked: PassRequest; at: number; elapsed: number };

/** One in which everything comes about, and others. */
const seeds = process.env.TERRACE_SEED
  ? [Number(process.env.TERRACE_SEED)]
  : [
      82_789,
      ...(process.env.TERRACE_FULL === '1'
        ? Array.from({ length: 20 }, () => Math.floor(Math.random() * 1e5))
        : []),
    ];

for (const seed of seeds)
  test(`nothing outside a window, none missed, no two at once, none beyond the end (TERRACE_SEED=${seed})`, async (t) => {
    const next = random(seed);
    t.mock.method(Math, 'random', random(seed + 1));
    const some = (most: number) => Math.floor(next() * most);
    using time = new SimulatedTime(START, () => some(4) - 1);
    const real = { flush: () => setImmediate() };

    // What is reckoned.
    const minutes = new Map(
      all.map((one) => [one, new Minutes(one.schedule, one.windowMs, START - 30 * DAY, END + 30 * DAY)]),
    );
    let times = all[0] as ScheduleTimes;
    const plan = () => minutes.get(times) as Minutes;
    let disturbed = 0;
    const calm = () => time.elapsed - disturbed > SEEN;
    const wrong: string[] = [];
    const amiss = (what: string) =>
      wrong.push(`${what} at ${new Date(time.now).toISOString()} (${times.schedule}, ${times.windowMs})`);

    // What is looked at.
    const counts = { passes: 0, scoped: 0, failed: 0, retries: 0, cut: 0, pushes: 0 };
    const running = new Set<Pass>();
    let busy = false;
    let failing = 0;
    let failedInRow = 0;
    let retryFrom: number | undefined;
    /** The last minute, of the clock, for which a tick came. */
    let ticked = 0;
    /** And all since the last look. */
    const ticks = new Set<number>();
    let whole: { end: (why: 'config' | 'window') => void } | undefined;

    const clock = new PassClock({
      times: () => times,
      tick: (cause) => {
        const at = Math.floor(time.now / MINUTE) * MINUTE;
        if (cause === 'retry') {
          counts.retries += 1;
          const waited = (time.elapsed - (retryFrom ?? Number.NaN)) / MINUTE;
          const most = Math.min(30, 2 ** (failedInRow - 1));
          // Where the clock was set meanwhile, it is another wait.
          const moved = retryFrom !== undefined && disturbed >= retryFrom;
          if (calm() && !moved && !(waited >= most * 0.5 && waited <= most + 0.01))
            amiss(`a retry after ${waited} min`);
        } else {
          if (calm() && !(plan().due(at) && time.now - at < EXACT)) amiss('a pass that no schedule says');
          failedInRow = 0;
        }
        ticked = at;
        ticks.add(at);
        requestPass({ id: 'tick', cause });
      },
      onCheck: () => {},
      log: quiet,
    });
    const pass = async (asked: PassRequest, stopped: AbortSignal): Promise<void> => {
      busy = true;
      const at = linkAt(times, time.now);
      const own: Pass = { asked, at: time.now, elapsed: time.elapsed };
      if (!plan().usable(time.now)) amiss('a pass outside the window');
      const same = [...running].filter(({ asked: other }) => !other.scope === !asked.scope);
      if (same.length > 0) amiss('two passes at once');
      running.add(own);
      counts[asked.scope ? 'scoped' : 'passes'] += 1;
      const end = new AbortController();
      using _closing = abortAtClose(at.until, () => linkAt(times, time.now), end);
      const { promise, resolve } = Promise.withResolvers<string>();
      const over = (why: string) => {
        busy = true;
        resolve(why);
      };
      end.signal.addEventListener('abort', () => over('window'));
      stopped.addEventListener('abort', () => over('stopped'));
      if (!asked.scope) whole = { end: over };
      const long = asked.scope ? some(5_000) : next() < 0.02 ? some(5 * HOUR) : some(20_000);
      const timer = setTimeout(() => over('done'), long);
      const ended = await promise;
      clearTimeout(timer);
      busy = true;
      running.delete(own);
      if (asked.scope) return;
      whole = undefined;
      if (ended === 'window') counts.cut += 1;
      if (ended !== 'done') return;
      const ok = failing <= 0;
      failing -= 1;
      if (!ok) {
        counts.failed += 1;
        failedInRow += 1;
        retryFrom = time.elapsed;
      } else failedInRow = 0;
      clock.passEnded(ok);
    };
    const actor = createActor(
      syncerMachine.provide({
        actors: {
          makePass: fromPromise<void, PassInput>(({ input, signal }) => pass(input.request, signal)),
          takeTerm: fromPromise<TermState>(async () => ({}) as TermState),
          clock: fromCallback(() => {
            clock.start();
            return () => clock.stop();
          }),
        },
      }),
      { input: { times } },
    );
    const requestPass = (request: PassRequest) => {
      actor.send({ type: 'pass.wanted', pass: request });
      busy = true;
    };
    const handlers = new Map<string, (event: { data: unknown }) => void>();
    const listen = ((event: Event, handler: (event: { data: unknown }) => void) => {
      handlers.set(event.type, handler);
      return () => {};
    }) as unknown as TriggerDeps['bus']['listen'];
    const live = () => linkAt(times, time.now).live;
    const unsubscribe = subscribeTriggers({ bus: { listen }, isPushedAtOnce: () => live(), requestPass });
    actor.start();
    actor.send({ type: 'lease.gained', pass: { id: 'start', cause: 'start' } });
    await real.flush();

    let looked = START;
    /** Each minute is looked at when it has begun, and what uses the link whenever time goes on. */
    const look = () => {
      for (const { asked } of running) {
        if (!calm() || plan().usable(time.now) || plan().usable(time.now - EXACT)) continue;
        amiss(`a pass (${asked.cause}) that uses the link beyond the end`);
      }
      const minute = Math.floor((time.now - EXACT) / MINUTE) * MINUTE;
      for (let at = looked + MINUTE; at <= minute && calm(); at += MINUTE) {
        if (plan().due(at) && !ticks.has(at)) amiss(`no pass for ${new Date(at).toISOString()}`);
      }
      if (minute === looked) return;
      looked = minute;
      ticks.clear();
      ticks.add(ticked);
    };
    const rung = () => {
      look();
      if (!busy) return undefined;
      busy = false;
      return real.flush();
    };
    const goOn = (ms: number) => time.goOn(ms, rung).then(rung);

    while (time.now < END) {
      await goOn(some(3 * DAY) + 1);
      const what = some(7);
      if (what === 0) {
        times = all[some(all.length)] as ScheduleTimes;
        // As the coordinator does it.
        const before = whole;
        actor.send({ type: 'times.changed', times });
        clock.changed();
        failedInRow = 0;
        requestPass({ id: 'configuration', cause: 'configuration' });
        before?.end('config');
        disturbed = time.elapsed;
      } else if (what === 1) {
        time.set(time.now + some(5 * DAY));
        disturbed = time.elapsed;
      } else if (what === 2) {
        time.set(time.now + some(3 * HOUR) - HOUR);
        disturbed = time.elapsed;
      } else if (what === 3) {
        failing = 1 + some(12);
      } else {
        // Where the link may be used, it goes up within moments, and else it begins nothing.
        const before = counts.scoped;
        const begins = live() && plan().usable(time.now + 2 * SOON) && calm();
        handlers.get(tagMoved.type)?.({ data: { repository: 'app', tag: 'v1' } });
        counts.pushes += 1;
        await goOn(2 * SOON + 6_000);
        if (begins && counts.scoped === before) amiss('a push that does not go up');
        if (!begins && !live() && calm() && counts.scoped !== before) amiss('a push that goes up');
      }
      await rung();
    }
    unsubscribe();
    actor.stop();
    t.diagnostic(JSON.stringify(counts));
    assert.deepEqual(wrong.slice(0, 10), []);
    if (seed === seeds[0]) for (const [name, count] of Object.entries(counts)) assert.ok(count > 0, name);
  });
