import {
  LEFT_OUT_ANNOTATION,
  type LeftOutReferrer,
  LeftOutReferrers,
} from '#proto/content/left-out-referrers.ts';
import { parseJson } from '#proto/contract/bounded-json.ts';
import { check } from '#proto/contract/contract.ts';

/** What a list of referrers lacks, as the parent says. */
export type LeftOutAbove = { leftOut: LeftOutReferrer[]; hidden?: LeftOutReferrers['hidden'] };

/** Max length of the annotation, in characters. Each of a reason may take six in JSON. */
const MAX_TEXT = 256 * 1024;
const LIMITS = { values: 1_000, depth: 4 };

/** Reads the annotation of a page; a malformed one counts as none. */
export function readLeftOutAbove(page: unknown): LeftOutAbove {
  const { annotations } = (page ?? {}) as { annotations?: Record<string, unknown> | null };
  const text = annotations?.[LEFT_OUT_ANNOTATION];
  const read = typeof text === 'string' && text.length <= MAX_TEXT && parsed(text);
  if (!read) return { leftOut: [] };
  const { count, first, hidden } = read;
  const leftOut = [...first];
  const [example] = first;
  if (example && count > first.length) {
    const reason = 'further referrers, which the status of that layer counts';
    leftOut.push({ kind: 'referrer', code: example.code, reason });
  }
  return { leftOut, ...(hidden && { hidden }) };
}

function parsed(text: string): LeftOutReferrers | undefined {
  try {
    return check(LeftOutReferrers, parseJson(Buffer.from(text), LIMITS));
  } catch {
    return undefined;
  }
}
