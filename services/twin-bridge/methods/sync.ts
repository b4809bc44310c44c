import { within } from '#proto/async/within.ts';
import type { Log } from '#proto/bus/bus.ts';
import type { BusCaller, EventListener, RoundTrip } from '#proto/bus/roles.ts';
import { clip } from '#proto/contract/clip.ts';
import { Type } from '#proto/contract/schema.ts';
import { leftOutText } from '#proto/sync/left-out.ts';
import { type PassResult, passFinished, startPass } from '#proto/sync/passes.ts';
import { type DirectMethod, type MethodAnswer, method } from './method.ts';

type SyncBus = BusCaller & EventListener & RoundTrip;

/** Max wait for the end of a pass before the answer is 202, in ms. */
const WAIT_MS = 20_000;
const MAX_FAILURES = 10;
/** Max length of the text about what is left out, in characters. */
const MAX_LEFT_OUT_TEXT = 1_000;

const Payload = Type.Object(
  {
    wait: Type.Optional(
      Type.Boolean({ description: 'true or false: whether to wait until it has finished' }),
    ),
    now: Type.Optional(Type.Boolean({ description: 'true or false: whether to run outside the window' })),
  },
  { additionalProperties: false },
);

/**
 * One pass over what may have changed (`sync`) or over everything (`resync`). 200 with its result, 202 with its id if
 * it is still running. Faults: those of `startPass`.
 */
export function syncMethod(bus: SyncBus, log: Log, full: boolean, waitMs = WAIT_MS): DirectMethod {
  return method(Payload, log, async ({ wait = true, now }, signal) => {
    const request = { ...(full && { full }), ...(now && { now }) };
    using passes = new Passes(bus);
    await bus.flush();
    for (const end = performance.now() + waitMs; ; ) {
      const { pass } = await bus.call(startPass, request, { signal });
      const result = wait ? await within(passes.end(pass), end - performance.now(), signal) : undefined;
      if (!result) return { status: 202, payload: { pass, state: 'Syncing' } };
      // A pass that was superseded by a new configuration has done nothing of the request.
      if (result.ended !== 'configuration') return answerOf(result);
    }
  });
}

/** Collects the results of passes. */
class Passes implements Disposable {
  readonly #results = new Map<string, PassResult>();
  readonly #unlisten: () => void;
  #onResult = () => {};

  constructor(bus: EventListener) {
    this.#unlisten = bus.listen(passFinished, ({ data }) => {
      this.#results.set(data.pass, data);
      this.#onResult();
    });
  }

  end(pass: string): Promise<PassResult> {
    return new Promise((resolve) => {
      this.#onResult = () => {
        const result = this.#results.get(pass);
        if (result) resolve(result);
      };
      this.#onResult();
    });
  }

  [Symbol.dispose](): void {
    this.#unlisten();
  }
}

function answerOf({ failures, leftOut, ...result }: PassResult): MethodAnswer {
  const payload = {
    ...result,
    state: result.ok ? 'Succeeded' : leftOut && result.failed + result.parked === 0 ? 'Incomplete' : 'Failed',
    failures: failures.slice(0, MAX_FAILURES),
    ...(leftOut && { leftOut: clip(leftOutText(leftOut), MAX_LEFT_OUT_TEXT) }),
  };
  return { status: 200, payload };
}
