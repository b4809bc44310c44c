import { type Static, Type } from '@sinclair/typebox';
import { clip } from './clip.ts';

/**
 * The one kind of error that crosses the bus: a code out of a closed list, and a sentence for a person.
 * The gateway maps each code to an HTTP status and an OCI error code in one table.
 */
export const faultCodes = [
  /** A message, body or parameter that does not have the form its contract asks for. */
  'malformed',
  'name-invalid',
  'name-unknown',
  'digest-invalid',
  /** Content whose size is not the one that was announced. */
  'size-invalid',
  'blob-unknown',
  'upload-unknown',
  'upload-invalid',
  /** A chunk that does not begin where the ingest ends, or a range outside of the content. */
  'range-invalid',
  'manifest-unknown',
  'manifest-invalid',
  'manifest-blob-unknown',
  'too-large',
  /** A body that did not come in time: the same may come in time when it is sent again. */
  'too-slow',
  'unauthorized',
  'denied',
  /** Too many attempts: wait as long as the message says. */
  'too-many',
  /** No token, or no scope map, of that name. */
  'account-unknown',
  'unsupported',
  /** A request for another registry than this one. */
  'misdirected',
  /** What was expected of a tag before a change is no longer so: look again, then decide again. */
  'conflict',
  /** Somebody else holds the claim; the message says who and until when. */
  'busy',
  /** The claim ended or went to another holder: stop writing. */
  'claim-lost',
  /** The content is committed already. */
  'exists',
  /** Another instance of this child is activated at the parent. */
  'already-activated',
  'no-space',
  /** The data volume is damaged or can't be used: nothing is served until somebody has mended it. */
  'volume-unusable',
  'config-invalid',
  /** The link may not be used now; the message says until when. */
  'window-closed',
  'parent-unreachable',
  'parent-refused',
  'parent-invalid',
  /** A service that should answer is not there, or gave no sign of life in time. */
  'unavailable',
  'internal',
] as const;

export type FaultCode = (typeof faultCodes)[number];

const known = new Set<string>(faultCodes);

/** A message may quote what another machine said, and goes into events, states and answers. */
export const MAX_REASON = 2_000;

export class Fault extends Error {
  override readonly name = 'Fault';
  readonly code: FaultCode;
  /** Facts for the one who handles it, as plain data: an offset, a digest, seconds to wait. */
  readonly detail: Record<string, unknown> | undefined;

  constructor(
    code: FaultCode,
    message: string,
    options: { cause?: unknown; detail?: Record<string, unknown> } = {},
  ) {
    super(clip(message, MAX_REASON), options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.detail = options.detail;
  }

  static is(error: unknown, ...codes: FaultCode[]): error is Fault {
    return error instanceof Fault && (codes.length === 0 || codes.includes(error.code));
  }
}

export const WireFault = Type.Object({
  code: Type.String({ maxLength: 64 }),
  message: Type.String({ maxLength: MAX_REASON }),
  detail: Type.Optional(
    Type.Record(Type.String({ pattern: '^[^]{1,64}$' }), Type.Unknown(), {
      maxProperties: 20,
      additionalProperties: false,
    }),
  ),
});
export type WireFault = Static<typeof WireFault>;

/** Anything thrown, as it goes over the bus. What is not a Fault tells the other side nothing of its insides. */
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

export function fromWire(wire: WireFault): Fault {
  const code = known.has(wire.code) ? (wire.code as FaultCode) : 'internal';
  return new Fault(code, wire.message, wire.detail ? { detail: wire.detail } : {});
}
