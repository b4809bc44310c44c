import { Type } from '@sinclair/typebox';
import type { Bus, Log } from '#proto/bus.ts';
import { type PassResult, passFinished, startPass } from '#proto/passes.ts';
import { type Method, type MethodAnswer, method } from './method.ts';
import { soon } from './soon.ts';

type PassBus = Pick<Bus, 'call' | 'listen' | 'flush'>;

/** How long a pass is waited for before it is answered that it goes on, in ms. */
const WAIT_MS = 20_000;
const MOST_FAILURES = 10;

const Wanted = Type.Object(
  {
    wait: Type.Optional(Type.Boolean({ description: 'true or false: whether to wait for its end' })),
    now: Type.Optional(Type.Boolean({ description: 'true or false: whether it may leave the window' })),
  },
  { additionalProperties: false },
);

/**
 * One pass, of what may have changed (`sync`) or of everything (`resync`). 200 with what it came to, 202 with its id
 * where it goes on. Faults: those of `startPass`.
 */
export function syncMethod(bus: PassBus, log: Log, full: boolean, waitMs = WAIT_MS): Method {
  return method(Wanted, log, async ({ wait = true, now }, signal) => {
    const results = new Map<string, PassResult>();
    const ended = Promise.withResolvers<PassResult>();
    let wanted: string | undefined;
    const unlisten = bus.listen(passFinished, ({ data }) => {
      results.set(data.pass, data);
      if (data.pass === wanted) ended.resolve(data);
    });
    try {
      await bus.flush();
      const wish = { ...(full && { full }), ...(now && { now }) };
      wanted = (await bus.call(startPass, wish, { signal })).pass;
      const early = results.get(wanted);
      if (early) return done(early);
      const result = wait ? await soon(ended.promise, waitMs, signal) : undefined;
      return result ? done(result) : { status: 202, payload: { pass: wanted, state: 'Syncing' } };
    } finally {
      unlisten();
    }
  });
}

function done({ failures, ...result }: PassResult): MethodAnswer {
  const some = failures.slice(0, MOST_FAILURES);
  return { status: 200, payload: { ...result, state: result.ok ? 'Succeeded' : 'Failed', failures: some } };
}
