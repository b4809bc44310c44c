import { clip } from '#proto/contract/clip.ts';
import { formatSeconds } from '#proto/contract/quantity-text.ts';
import { refusalOf } from '../terminal/failure.ts';
import { type Check, type Result, type Results, stateOf, type Verdict } from './verdict/check.ts';

/** Max length of a text of a result, in characters: it may quote another host. */
const MAX_TEXT = 600;
/** Max findings of one check. */
const MAX_FINDINGS = 50;

export type Limits = {
  /** For one check, in ms. */
  checkMs: number;
  /** For all of them, in ms. */
  totalMs: number;
};

/**
 * Runs checks, each as soon as those before it have ended, and all within the time: a check that has not ended by then
 * counts as not checked, and its probe is aborted.
 * @param names of the checks to run, with those that they need; default: all
 * @returns in the order of `checks`
 */
export async function runChecks<S>(
  checks: readonly Check<S>[],
  subject: S,
  { checkMs, totalMs }: Limits,
  names: readonly string[] = checks.map(({ name }) => name),
): Promise<Result[]> {
  const selected = withNeeded(checks, names);
  const end = new AbortController();
  const timer = setTimeout(() => end.abort(), totalMs);
  const running = new Map<string, Promise<Result>>();
  const done = new Map<string, Result>();
  for (const check of selected) {
    const first = [...(check.needs ?? []), ...(check.after ?? [])].map((name) => running.get(name));
    const result = Promise.all(first).then(() => runOne(check, subject, done, { checkMs, end: end.signal }));
    running.set(check.name, result);
    result.then((one) => done.set(one.check, one));
  }
  try {
    return await Promise.all(running.values());
  } finally {
    clearTimeout(timer);
    end.abort();
  }
}

/** The named checks and all that they need, in the order of the list, in which what is needed comes first. */
function withNeeded<S>(checks: readonly Check<S>[], names: readonly string[]): Check<S>[] {
  const wanted = new Set(names);
  return checks
    .toReversed()
    .filter(({ name, needs = [] }) => {
      if (!wanted.has(name)) return false;
      for (const other of needs) wanted.add(other);
      return true;
    })
    .reverse();
}

async function runOne<S>(
  check: Check<S>,
  subject: S,
  results: Results,
  { checkMs, end }: { checkMs: number; end: AbortSignal },
): Promise<Result> {
  const { name, group, needs = [] } = check;
  const startedAt = performance.now();
  const result = (verdict: Verdict): Result => resultOf({ check: name, group }, verdict, startedAt);
  const missing = needs.map((other) => results.get(other)).find((one) => one && !isPassed(one));
  if (missing) return result({ unchecked: reasonOf(missing) });
  if (end.aborted) return result({ unchecked: 'no time was left for it' });
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), checkMs);
  const signal = AbortSignal.any([limit.signal, end]);
  try {
    return result(await untilAborted(signal, check.run(subject, signal, results)));
  } catch (error) {
    if (!signal.aborted) return result({ unchecked: refusalOf(error).message });
    const time = limit.signal.aborted
      ? ` within ${formatSeconds(checkMs)}`
      : ' within the time of all checks';
    return result({ unchecked: `no answer${time}` });
  } finally {
    clearTimeout(timer);
    limit.abort();
  }
}

/** Rejects as soon as the signal aborts: a probe may be unable to end. */
function untilAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  work.catch(() => {});
  return Promise.race([work, promise]).finally(() => signal.removeEventListener('abort', abort));
}

const isPassed = ({ state }: Result): boolean => state === 'ok' || state === 'warning';

/** A check that was not made for the sake of another passes its reason on. */
const reasonOf = ({ check, state, about }: Result): string =>
  state === 'fault' ? `${check} has a fault` : about;

function resultOf(
  { check, group }: Pick<Result, 'check' | 'group'>,
  verdict: Verdict,
  startedAt: number,
): Result {
  const tookMs = Math.round(performance.now() - startedAt);
  if ('unchecked' in verdict) {
    return {
      check,
      group,
      state: 'not checked',
      about: clip(verdict.unchecked, MAX_TEXT),
      findings: [],
      tookMs,
    };
  }
  const findings = (verdict.findings ?? []).slice(0, MAX_FINDINGS).map(({ severity, what, remedy }) => ({
    severity,
    what: clip(what, MAX_TEXT),
    remedy: clip(remedy, MAX_TEXT),
  }));
  return { check, group, state: stateOf(findings), about: clip(verdict.about, MAX_TEXT), findings, tookMs };
}
