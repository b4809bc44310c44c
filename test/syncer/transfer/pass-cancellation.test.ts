import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventListener } from '#proto/bus/roles.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import { PassCancellation } from '../../../services/syncer/transfer/pass-cancellation.ts';

const HOUR = 3_600_000;

/** Runs a transfer of the pass `p` until its signal aborts or `end` is called. @returns whether it was aborted */
async function transfer(until: number | undefined, ended: PassResult['ended']) {
  let finish: (event: { data: Pick<PassResult, 'pass' | 'ended'> }) => void = () => {};
  const listen = (_event: unknown, handler: typeof finish) => {
    finish = handler;
    return () => {};
  };
  using cancellation = new PassCancellation({ listen } as unknown as EventListener);
  const job = { pass: 'p', ...(until !== undefined && { until }) };
  const { signal } = new AbortController();
  let isAborted = false;
  const verdict = cancellation.guard(job, signal, async (stop) => {
    finish({ data: { pass: 'p', ...(ended && { ended }) } });
    isAborted = stop.aborted;
    return { retryMs: 0 };
  });
  assert.deepEqual(await verdict, isAborted ? 'done' : { retryMs: 0 });
  // A job that is taken later is dropped with its pass.
  const later = await cancellation.guard(job, signal, async () => ({ retryMs: 1 }));
  assert.deepEqual(later, ended ? 'done' : { retryMs: 1 });
  return isAborted;
}

const rows: [string, number | undefined, PassResult['ended'], boolean][] = [
  ['a configuration', undefined, 'configuration', true],
  ['a pause of the link', undefined, 'paused', true],
  ['its window, which its own clock has seen end', 0, 'window', false],
  ['its window, whose end is years ahead since the clock was set back', 56 * 365 * 24 * HOUR, 'window', true],
  ['nothing but its end', HOUR, undefined, false],
];
for (const [name, ahead, ended, isAborted] of rows) {
  test(`a transfer is ${isAborted ? '' : 'not '}cancelled if its pass was ended by ${name}`, async () => {
    const until = ahead === undefined ? undefined : Date.now() + ahead;
    assert.equal(await transfer(until, ended), isAborted);
  });
}
