import { type Static, Type } from '@sinclair/typebox';
import { clip } from './clip.ts';

/**
 * The one kind of error that crosses the bus: a code from a closed list, and a sentence for a person.
 * The gateway maps each code to an HTTP status and an OCI error code in one table.
 */
export const faultCodes = [
  /** A message, body or parameter violates its contract. */
  'malformed',
  'name-invalid',
  'name-unknown',
  'digest-invalid',
  /** The size of the content differs from the announced one. */
  'size-invalid',
  'blob-unknown',
  'upload-unknown',
  'upload-invalid',
  /** A chunk does not begin at the end of the ingest, or a range lies outside the content. */
  'range-invalid',
  'manifest-unknown',
  'manifest-invalid',
  'manifest-blob-unknown',
  'too-large',
  /** A body did not arrive in time; a retry may succeed. */
  'too-slow',
  'unauthorized',
  'denied',
  /** Too many attempts: retry after the time that the message names. */
  'too-many',
  /** No token or scope map has this name. */
  'account-unknown',
  'unsupported',
  /** The request is for another registry. */
  'misdirected',
  /** A tag no longer is as the change expects: read it again, then decide again. */
  'conflict',
  /** Another holder has the claim; the message says which and until when. */
  'busy',
  /** The claim ended or another holder took it: stop writing. */
  'claim-lost',
  /** The content is committed already. */
  'exists',
  /** Another instance of this child is activated at the parent. */
  'already-activated',
  'no-space',
  /** The data volume is damaged or can't be used: nothing is served until an operator has repaired it. */
  'volume-unusable',
  'config-invalid',
  /** The link may not be used now; the message says until when. */
  'window-closed',
  'parent-unreachable',
  'parent-refused',
  'parent-invalid',
  /** A service that should answer is down, or sent no sign of life in time. */
  'unavailable',
  'internal',
] as const;

export type FaultCode = (typeof faultCodes)[number];

const known = new Set<string>(faultCodes);

/** Max length of a message, in characters: it may quote another machine, and is part of events, states and answers. */
export const MAX_REASON_LENGTH = 2_000;

export class Fault extends Error {
  override readonly name = 'Fault';
  readonly code: FaultCode;
  /** Facts for the handler, as plain data: an offset, a digest, seconds to wait. */
  readonly detail: Record<string, unknown> | undefined;

  constructor(
    code: FaultCode,
    message: string,
    options: { cause?: unknown; detail?: Record<string, unknown> } = {},
  ) {
    super(
      clip(message, MAX_REASON_LENGTH),
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = code;
    this.detail = options.detail;
  }

  static is(error: unknown, ...codes: FaultCode[]): error is Fault {
    return error instanceof Fault && (codes.length === 0 || codes.includes(error.code));
  }
}

export const WireFault = Type.Object({
  code: Type.String({ maxLength: 64 }),
  message: Type.String({ maxLength: MAX_REASON_LENGTH }),
  detail: Type.Optional(
    Type.Record(Type.String({ pattern: '^[^]{1,64}$' }), Type.Unknown(), {
      maxProperties: 20,
      additionalProperties: false,
    }),
  ),
});
export type WireFault = Static<typeof WireFault>;

/** Converts anything thrown to its form on the bus. An error other than a Fault does not expose its message. */
export function toWire(error: unknown): WireFault {
  if (error instanceof Fault) {
    return { code: error.code, message: error.message, ...(error.detail && { detail: error.detail }) };
  }
  const code = (error as NodeJS.ErrnoException | null)?.code;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return { code: 'no-space', message: 'the data volume is full: free space, then try again' };
  }
  return { code: 'internal', message: 'the service failed; its log says why' };
}

/** A code that this version does not know becomes `internal`. */
export function fromWire(wire: WireFault): Fault {
  const code = known.has(wire.code) ? (wire.code as FaultCode) : 'internal';
  return new Fault(code, wire.message, wire.detail ? { detail: wire.detail } : {});
}
