import { pack, unpack } from './contract.ts';
import { Fault } from './fault.ts';
import { type Static, Type } from './schema.ts';
import { Traceparent } from './traceparent.ts';

/** Max length of the name of a layer in an event, in characters: the names of 16 layers, one below the other. */
export const MAX_LAYER_LENGTH = 1_024;
export const MAX_SOURCE_LENGTH = MAX_LAYER_LENGTH + 256;

/** One line without control characters: it is put into headers and shown on terminals. */
export const singleLineText = (maxLength: number, description?: string) =>
  Type.String({
    pattern: '^[^\\u0000-\\u001f\\u007f]+$',
    maxLength,
    ...(description !== undefined && { description }),
  });

/** An event as stored and delivered: CloudEvents 1.0 in structured mode, msgpack instead of JSON. */
export const Envelope = Type.Object({
  specversion: Type.Literal('1.0', { description: 'Version of CloudEvents.' }),
  id: singleLineText(256, 'Unique per source.'),
  source: singleLineText(MAX_SOURCE_LENGTH, 'Process that published it: `/layers/<layer>/<instance>`.'),
  type: singleLineText(128, '`terrace.` and the type, such as `terrace.tag.moved`.'),
  time: singleLineText(64, 'RFC 3339, UTC, milliseconds.'),
  layer: Type.Optional(
    singleLineText(
      MAX_LAYER_LENGTH,
      'Name of the layer in which it happened. An extension attribute, like `origin`.',
    ),
  ),
  origin: Type.Optional(
    singleLineText(
      128,
      'Of an event from a layer below: its place in the stream there, `<creation time of that stream>/<sequence>`.',
    ),
  ),
  traceparent: Type.Optional(Traceparent),
  data: Type.Unknown({ description: 'Fields of the event, as below.' }),
});
export type Envelope = Static<typeof Envelope>;

/** Decodes a stored event. Undefined if it can't be read, such as one that an earlier version accepted. */
export function readEvent(bytes: Uint8Array): Envelope | undefined {
  try {
    return unpack(Envelope, bytes);
  } catch (error) {
    if (Fault.is(error, 'malformed')) return undefined;
    throw error;
  }
}

/** An event as a subscriber receives it: the envelope, with data checked by the event's own schema. */
export type ReceivedEvent<T> = Omit<Envelope, 'data'> & { data: T };

const isKnown = (field: string): boolean => Object.hasOwn(Envelope.properties, field);

/**
 * Checks a packed event before it is stored, and removes unknown fields of its envelope, which no schema checks.
 * @returns the event, and the bytes to store: the same ones if nothing was removed
 * @throws Fault `malformed`, naming the field
 */
export function toStored(bytes: Uint8Array): { event: Envelope; bytes: Uint8Array } {
  const event = unpack(Envelope, bytes);
  const entries = Object.entries(event);
  const known = entries.filter(([field]) => isKnown(field));
  if (known.length === entries.length) return { event, bytes };
  const stored = Object.fromEntries(known) as Envelope;
  return { event: stored, bytes: pack(Envelope, stored) };
}
