import { type Static, Type } from './schema.ts';

/** W3C Trace Context, "traceparent": version 00, trace id, span id, flags. 55 characters. */
export const Traceparent = Type.String({
  pattern: '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$',
  maxLength: 55,
  description: 'Trace to which it belongs (W3C Trace Context). Only where traces are on.',
});
export type Traceparent = Static<typeof Traceparent>;

/** Header with the context of a trace, of HTTP and of the bus. */
export const TRACEPARENT = 'traceparent';

/** Later versions may be longer; what follows the flags is not for this version. */
const FORM = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const MAX_LENGTH = 512;
const ZEROS = /^0+$/;

/**
 * Reads a header from outside.
 * @returns it as version 00; undefined if it is none, of another form (W3C Trace Context, 3.2.2), or all zeros
 */
export function parseTraceparent(text: unknown): Traceparent | undefined {
  if (typeof text !== 'string' || text.length > MAX_LENGTH) return undefined;
  const [, trace, span, flags, more] = FORM.exec(text) ?? [];
  if (!trace || !span || ZEROS.test(trace) || ZEROS.test(span)) return undefined;
  if (more !== undefined && text.startsWith('00')) return undefined;
  return `00-${trace}-${span}-${flags}`;
}

/** Id of the trace, in hex. */
export const traceIdOf = (traceparent: Traceparent): string => traceparent.slice(3, 35);
