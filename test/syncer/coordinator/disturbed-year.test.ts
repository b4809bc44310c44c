import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { createActor, fromCallback, fromPromise } from 'xstate';
import { tagMoved } from '#proto/content/content-events.ts';
import type { Event } from '#proto/contract/contract.ts';
import type { ScheduleTimes } from '#proto/schedule/window.ts';
import { PassClock } from '../../../services/syncer/coordinator/pass-clock.ts';
import type { PassInput } from '../../../services/syncer/coordinator/pass-runner.ts';
import { syncerMachine } from '../../../services/syncer/coordinator/syncer.machine.ts';
import type { TermState } from '../../../services/syncer/coordinator/term-tasks.ts';
import { subscribeTriggers, type TriggerDeps } from '../../../services/syncer/coordinator/triggers.ts';
import type { PassRequest } from '../../../services/syncer/reconcile/context/pass-request.ts';
import { abortAtClose } from '../../../services/syncer/schedule/abort-at-close.ts';
import { linkAt } from '../../../services/syncer/schedule/link-schedule.ts';
import { quiet } from '../../support/bus.ts';
import { ScheduleModel } from '../../support/time/minutes.ts';
import { random } from '../../support/time/random.ts';
import { SimulatedTime } from '../../support/time/simulated-time.ts';

/**
 * A year in which passes take hours and fail, clients push, the schedule changes, the clock is set and the machine
 * sleeps. The syncer's clock, machine, window ends and triggers are compared with a computation minute by minute
 * (`ScheduleModel`).
 */
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const START = Date.parse('2027-12-31T23:57:00Z');
const END = Date.parse('2029-01-01T00:03:00Z');
/** Tolerance, in ms: timers are slightly late. */
const TOLERANCE_MS = 10;
/** Max time until a set clock is noticed. */
const MAX_NOTICE_MS = MINUTE + TOLERANCE_MS;
/** Time in which triggers are batched. */
const BATCH_MS = 1_000;

const schedules: ScheduleTimes[] = [
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

type Pass = { request: PassRequest; at: number; elapsed: number };

/** The first covers all cases. */
const seeds = process.env.TERRACE_SEED
  ? [Number(process.env.TERRACE_SEED)]
  : [
      82_789,
      ...(process.env.TERRACE_FULL === '1'
        ? Array.from({ length: 20 }, () => Math.floor(Math.random() * 1e5))
        : []),
    ];

for (const seed of seeds)
  test(`passes run only in windows, one at a time, and none is missed (TERRACE_SEED=${seed})`, async (t) => {
    const next = random(seed);
    t.mock.method(Math, 'random', random(seed + 1));
    const below = (limit: number) => Math.floor(next() * limit);
    using time = new SimulatedTime(START, () => below(4) - 1);
    const real = { flush: () => setImmediate() };

    // The computation.
    const minutes = new Map(
      schedules.map((entry) => [
        entry,
        new ScheduleModel(entry.schedule, entry.windowMs, START - 30 * DAY, END + 30 * DAY),
      ]),
    );
    let times = schedules[0] as ScheduleTimes;
    const plan = () => minutes.get(times) as ScheduleModel;
    let disturbed = 0;
    const isCalm = () => time.elapsed - disturbed > MAX_NOTICE_MS;
    const wrong: string[] = [];
    const report = (problem: string) =>
      wrong.push(`${problem} at ${new Date(time.now).toISOString()} (${times.schedule}, ${times.windowMs})`);

    // The observations.
    const counts = { passes: 0, scoped: 0, failed: 0, retries: 0, closed: 0, pushes: 0 };
    const running = new Set<Pass>();
    let busy = false;
    let failing = 0;
    let failedInRow = 0;
    let retryFrom: number | undefined;
    /** The last minute, by the clock, for which a tick came. */
    let ticked = 0;
    /** All such minutes since the last check. */
    const ticks = new Set<number>();
    let unscoped: { end: (why: 'config' | 'window') => void } | undefined;

    const clock = new PassClock({
      times: () => times,
      tick: (cause) => {
        const at = Math.floor(time.now / MINUTE) * MINUTE;
        if (cause === 'retry') {
          counts.retries += 1;
          const waited = (time.elapsed - (retryFrom ?? Number.NaN)) / MINUTE;
          const maxMinutes = Math.min(30, 2 ** (failedInRow - 1));
          // After the clock was set, the wait differs.
          const moved = retryFrom !== undefined && disturbed >= retryFrom;
          if (isCalm() && !moved && !(waited >= maxMinutes * 0.5 && waited <= maxMinutes + 0.01))
            report(`a retry after ${waited} min`);
        } else {
          if (isCalm() && !(plan().isDue(at) && time.now - at < TOLERANCE_MS))
            report('a pass outside the schedule');
          failedInRow = 0;
        }
        ticked = at;
        ticks.add(at);
        requestPass({ id: 'tick', cause });
      },
      onCheck: () => {},
      log: quiet,
    });
    const pass = async (request: PassRequest, stopped: AbortSignal): Promise<void> => {
      busy = true;
      const at = linkAt(times, time.now);
      const own: Pass = { request, at: time.now, elapsed: time.elapsed };
      if (!plan().isOpen(time.now)) report('a pass outside the window');
      const same = [...running].filter(({ request: other }) => !other.scope === !request.scope);
      if (same.length > 0) report('two passes at once');
      running.add(own);
      counts[request.scope ? 'scoped' : 'passes'] += 1;
      const end = new AbortController();
      using _closing = abortAtClose(at.until, () => linkAt(times, time.now), end);
      const { promise, resolve } = Promise.withResolvers<string>();
      const finish = (why: string) => {
        busy = true;
        resolve(why);
      };
      end.signal.addEventListener('abort', () => finish('window'));
      stopped.addEventListener('abort', () => finish('stopped'));
      if (!request.scope) unscoped = { end: finish };
      const durationMs = request.scope ? below(5_000) : next() < 0.02 ? below(5 * HOUR) : below(20_000);
      const timer = setTimeout(() => finish('done'), durationMs);
      const ended = await promise;
      clearTimeout(timer);
      busy = true;
      running.delete(own);
      if (request.scope) return;
      unscoped = undefined;
      if (ended === 'window') counts.closed += 1;
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

    let checked = START;
    /** Checks each minute after it has begun, and the running passes whenever the time advances. */
    const check = () => {
      for (const { request } of running) {
        if (!isCalm() || plan().isOpen(time.now) || plan().isOpen(time.now - TOLERANCE_MS)) continue;
        report(`a pass (${request.cause}) that uses the link after the window closed`);
      }
      const minute = Math.floor((time.now - TOLERANCE_MS) / MINUTE) * MINUTE;
      for (let at = checked + MINUTE; at <= minute && isCalm(); at += MINUTE) {
        if (plan().isDue(at) && !ticks.has(at)) report(`no pass for ${new Date(at).toISOString()}`);
      }
      if (minute === checked) return;
      checked = minute;
      ticks.clear();
      ticks.add(ticked);
    };
    const onTimer = () => {
      check();
      if (!busy) return undefined;
      busy = false;
      return real.flush();
    };
    const goOn = (ms: number) => time.advance(ms, onTimer).then(onTimer);

    while (time.now < END) {
      await goOn(below(3 * DAY) + 1);
      const action = below(7);
      if (action === 0) {
        times = schedules[below(schedules.length)] as ScheduleTimes;
        // In the order of the coordinator.
        const before = unscoped;
        actor.send({ type: 'times.changed', times });
        clock.changed();
        failedInRow = 0;
        requestPass({ id: 'configuration', cause: 'configuration' });
        before?.end('config');
        disturbed = time.elapsed;
      } else if (action === 1) {
        time.setWallClock(time.now + below(5 * DAY));
        disturbed = time.elapsed;
      } else if (action === 2) {
        time.setWallClock(time.now + below(3 * HOUR) - HOUR);
        disturbed = time.elapsed;
      } else if (action === 3) {
        failing = 1 + below(12);
      } else {
        // While the link may be used, the change is pushed at once. Otherwise it begins no pass.
        const before = counts.scoped;
        const begins = live() && plan().isOpen(time.now + 2 * BATCH_MS) && isCalm();
        handlers.get(tagMoved.type)?.({ data: { repository: 'app', tag: 'v1' } });
        counts.pushes += 1;
        await goOn(2 * BATCH_MS + 6_000);
        if (begins && counts.scoped === before) report('a change that is not pushed');
        if (!begins && !live() && isCalm() && counts.scoped !== before) report('a change that is pushed');
      }
      await onTimer();
    }
    unsubscribe();
    actor.stop();
    t.diagnostic(JSON.stringify(counts));
    assert.deepEqual(wrong.slice(0, 10), []);
    if (seed === seeds[0]) for (const [name, count] of Object.entries(counts)) assert.ok(count > 0, name);
  });
