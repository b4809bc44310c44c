import { clip } from './clip.ts';
import { type Static, Type } from './schema.ts';

/**
 * The one kind of error that crosses the bus: a code from this closed list, and a sentence for a person.
 * The gateway maps each code to an HTTP status and an OCI error code in one table.
 */
export const faults = {
  malformed: 'A message, body or parameter violates its contract.',
  'name-invalid': 'The name of a repository is not valid.',
  'name-unknown': 'The layer has no repository of this name, nothing at this path, or no such direct method.',
  'digest-invalid': 'A digest is not valid, or the content has another one.',
  'size-invalid': 'The size of the content differs from the announced one.',
  'blob-unknown': 'The repository does not have the blob.',
  'upload-unknown': 'No upload of this id exists: it ended, or was deleted.',
  'upload-invalid': 'The body of an upload arrives too slowly, or its `Content-Range` is not valid.',
  'range-invalid': 'A chunk does not begin at the end of the ingest, or a range lies outside the content.',
  'manifest-unknown': 'The repository does not have the manifest or tag.',
  'manifest-invalid': 'The manifest, or the tag, is not valid.',
  'manifest-blob-unknown': 'The manifest names content that the repository does not have.',
  'too-large': 'A body or message is larger than its limit.',
  'too-slow': 'A body did not arrive in time; a retry may succeed.',
  unauthorized: 'A login is required, or was refused.',
  denied: 'The account, the mode of the layer or the user of the bus does not permit this.',
  'too-many': 'Too many attempts: retry after the time that the message names.',
  'account-unknown': 'No token or scope map has this name.',
  unsupported: 'The path does not have this method.',
  misdirected: 'The request is for another registry.',
  conflict: 'A tag is not in the state that the change expects: read it again, then decide.',
  busy: 'Another holder has the claim; the message says which and for how long.',
  'claim-lost': 'The claim ended or another holder took it: stop writing.',
  exists: 'It exists already: committed content, or an account of this name.',
  'already-activated': 'Another instance of this child is activated at the parent.',
  'no-space': 'The data volume is full, or has less free space than its reserve.',
  'delta-invalid': 'A delta is damaged, or makes other content than it names: send the content itself.',
  'archive-invalid':
    'An export or import can not be done with this folder, key or set; the message names it and the remedy.',
  'volume-unusable':
    'The data volume is damaged or unusable: nothing is served until an operator repairs it.',
  'config-invalid': 'A setting is not valid; the message names it and the remedy.',
  'window-closed': 'The link may not be used now; the message says until when.',
  paused: 'The link to the parent is paused; the message says by whom and until when.',
  'parent-unreachable': 'The parent does not answer.',
  'parent-refused': 'The parent refuses the request or the login.',
  'parent-invalid': 'The answer of the parent is not valid.',
  unavailable: 'A service is down, or did not answer in time.',
  internal: 'The service failed: see its log.',
} as const;

export type FaultCode = keyof typeof faults;

export const faultCodes = Object.keys(faults) as FaultCode[];

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
    return { code: 'no-space', message: 'the data volume is full: free space, then retry' };
  }
  return { code: 'internal', message: 'the service failed: see its log' };
}

/** A code that this version does not know becomes `internal`. Without a stack: it arose in another process. */
export function fromWire(wire: WireFault): Fault {
  const code = known.has(wire.code) ? (wire.code as FaultCode) : 'internal';
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return new Fault(code, wire.message, wire.detail ? { detail: wire.detail } : {});
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
