import { Fault } from '#proto/contract/fault.ts';
import { formatDuration, formatSeconds } from '#proto/contract/quantity-text.ts';
import { answerHint } from '#proto/process/clock-hint.ts';
import { clientPair } from '../parent/client-certificate.ts';
import { ParentHttp } from '../parent/parent-http.ts';
import type { Subject } from '../subject/subject.ts';
import { fault, haveFault, type Results, type Verdict, warning } from '../verdict/check.ts';

/** The clock of this machine, against the `Date` of the parent and against what this layer wrote before. */

/** Difference that is worth a word, in ms: logs and events are then hard to compare. */
const WARN_MS = 60_000;
/** `Date` has whole seconds. */
const RESOLUTION_MS = 1_000;
/** Max time for the parent to answer, in ms: other checks wait for this one. */
const ANSWER_MS = 5_000;
/** How far the newest file of the layer may be in the future, in ms. */
const AHEAD_MS = 60_000;

export type ClockSeen = {
  /** By the clock of this machine, when the answer arrived, in ms since 1970. */
  now: number;
  /** The header `Date` of the parent; undefined without an answer. */
  date?: string | undefined;
  /** Age of an answer that a cache sent. */
  age?: string | undefined;
  /** Time from the request to the answer, in ms. */
  tripMs?: number;
  /** When the newest file that the layer writes all the time was changed, in ms since 1970. */
  newest?: number | undefined;
};

/** Checks that a connection to the parent depends on. */
const WAY = ['parent-proxy', 'parent-name', 'parent-route'];

/** Asks the parent without credentials, and with any certificate: a wrong clock makes a valid one invalid. */
export async function checkClock(
  { parent, facts, newestFile }: Subject,
  signal: AbortSignal,
  results: Results,
): Promise<Verdict> {
  const newest = await newestFile();
  const withoutParent = (reason: string) => clockVerdict({ now: Date.now(), newest }, reason);
  if (!parent) return withoutParent('the layer has no parent to compare it with');
  if (haveFault(results, WAY) || (!facts.proxy && !facts.addresses)) {
    return withoutParent('the parent can not be asked for its time');
  }
  const pair = await clientPair(parent);
  const own = Fault.is(pair) ? undefined : pair;
  await using http = await ParentHttp.open(parent.url, { proxy: facts.proxy, pair: own, isVerified: false });
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
    const { at, tripMs, headers } = await http.request('/v2/', { signal: limit });
    return clockVerdict({ now: at, tripMs, date: headers.date, age: headers.age, newest });
  } catch {
    signal.throwIfAborted();
    return withoutParent('the parent does not answer');
  }
}

/** Pure. @param reason why the parent has no say, if it has none */
export function clockVerdict({ now, date, age, tripMs = 0, newest }: ClockSeen, reason?: string): Verdict {
  const there = age === undefined || age === '0' ? Date.parse(date ?? '') : Number.NaN;
  if (newest !== undefined && newest > now + AHEAD_MS && Number.isNaN(there)) {
    const what = `the clock of this machine was set back by ${formatDuration(newest - now)}: the layer wrote files that are newer than now`;
    return { about: '', findings: [fault(what, 'set the clock, and let NTP keep it')] };
  }
  if (Number.isNaN(there)) return { unchecked: reason ?? 'the parent sends no Date' };
  const off = now - tripMs / 2 - (there + RESOLUTION_MS / 2);
  const surely = Math.abs(off) - tripMs / 2 - RESOLUTION_MS / 2;
  const hint = answerHint(date, now);
  if (hint !== undefined && surely > WARN_MS) {
    const [what, remedy] = [hint.slice(0, hint.lastIndexOf(': ')), 'set the wrong one, and let NTP keep it'];
    return { about: '', findings: [fault(what, remedy)] };
  }
  const side = off > 0 ? 'ahead of' : 'behind';
  if (surely > WARN_MS) {
    const what = `the clock of this machine is ${formatDuration(surely)} ${side} that of the parent`;
    return { about: '', findings: [warning(what, 'let NTP keep the clocks of both machines')] };
  }
  const bound = Math.max(RESOLUTION_MS, Math.abs(off) + tripMs / 2);
  return { about: `within ${formatSeconds(Math.ceil(bound / 1_000) * 1_000)} of the parent's` };
}
