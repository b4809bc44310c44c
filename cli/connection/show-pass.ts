import type { Bus } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import { faultRefusal } from '../terminal/failure.ts';
import { outputEnd } from '../terminal/output-end.ts';
import { EXIT_INTERRUPTED } from '../terminal/refusal.ts';
import { print, printError, printJson } from '../terminal/terminal.ts';
import { factsOf, ImageTracker } from '../text/image-progress.ts';
import { barView, jsonView, lineView } from '../text/progress.ts';
import { type FollowOptions, followPass } from './follow-pass.ts';
import { readRunningPass } from './running-pass.ts';

/**
 * Requests a pass, and shows its progress: bars on a terminal, lines elsewhere, objects with `json`.
 * @returns its result; undefined if the command was interrupted, after which the pass continues
 * @throws Refusal
 */
export async function showPass(
  bus: Bus,
  request: Pick<FollowOptions, 'full' | 'now' | 'retry'>,
  json = false,
): Promise<PassResult | undefined> {
  const end = new AbortController();
  const abort = () => end.abort();
  process.once('SIGINT', abort);
  outputEnd.addEventListener('abort', abort);
  const tracker = new ImageTracker();
  await readRunningPass(bus, (event) => tracker.apply(event.type, factsOf(event)), end.signal);
  const view = json
    ? jsonView(printJson, tracker)
    : process.stdout.isTTY
      ? barView(tracker)
      : lineView(print, tracker);
  try {
    return await followPass(bus, { ...request, signal: end.signal, onEvent: view.onEvent });
  } catch (error) {
    if (!end.signal.aborted) throw Fault.is(error) ? faultRefusal(error, sentence(error)) : error;
    // Not before the lines of the view.
    view.end();
    const how = 'The pass continues in the background: terrace status shows its state.';
    (json ? printError : print)(how);
    process.exitCode = EXIT_INTERRUPTED;
    return undefined;
  } finally {
    view.end();
    process.off('SIGINT', abort);
    outputEnd.removeEventListener('abort', abort);
  }
}

function sentence(fault: Fault): string {
  if (fault.code === 'unavailable') return `the pass did not complete: ${fault.message}`;
  return fault.message;
}
