import { Type } from '@sinclair/typebox';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { type PassResult, passFinished, startPass } from '#proto/sync/passes.ts';
import { type Method, type MethodAnswer, method } from './method.ts';
import { soon } from './soon.ts';

type FencedBus = Pick<Bus, 'call' | 'listen' | 'flush'>;

/** How long a pass is waited for before it is answered that it goes on, in ms. */
const WAIT_MS = 20_000;
const MAX_FAILURES = 10;

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
export function syncMethod(bus: FencedBus, log: Log, full: boolean, waitMs = WAIT_MS): Method {
  return method(Wanted, log, async ({ wait = true, now }, signal) => {
    const wish = { ...(full && { full }), ...(now && { now }) };
    using passes = new Passes(bus);
    await bus.flush();
    for (const end = Date.now() + waitMs; ; ) {
      const { pass } = await bus.call(startPass, wish, { signal });
      const result = wait ? await soon(passes.end(pass), end - Date.now(), signal) : undefined;
      if (!result) return { status: 202, payload: { pass, state: 'Syncing' } };
      // One that gave way to another configuration has done nothing that was asked for.
      if (result.ended !== 'configuration') return done(result);
    }
  });
}

/** Hears how passes end. */
class Passes implements Disposable {
  readonly #results = new Map<string, PassResult>();
  readonly #unlisten: () => void;
  #heard = () => {};

  constructor(bus: Pick<FencedBus, 'listen'>) {
    this.#unlisten = bus.listen(passFinished, ({ data }) => {
      this.#results.set(data.pass, data);
      this.#heard();
    });
  }

  end(pass: string): Promise<PassResult> {
    return new Promise((resolve) => {
      this.#heard = () => {
        const result = this.#results.get(pass);
        if (result) resolve(result);
      };
      this.#heard();
    });
  }

  [Symbol.dispose](): void {
    this.#unlisten();
  }
}

function done({ failures, ...result }: PassResult): MethodAnswer {
  const some = failures.slice(0, MAX_FAILURES);
  return { status: 200, payload: { ...result, state: result.ok ? 'Succeeded' : 'Failed', failures: some } };
}
