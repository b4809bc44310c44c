import { type Static, Type } from '@sinclair/typebox';
import { unpack } from './contract.ts';
import { Fault } from './fault.ts';

/** As many as 16 names of layers, one below the other, take. */
export const MAX_LAYER = 1_024;
export const MAX_SOURCE = MAX_LAYER + 256;

/** Without control characters: these go into headers, and to terminals. */
export const line = (maxLength: number) =>
  Type.String({ pattern: '^[^\\u0000-\\u001f\\u007f]+$', maxLength });

/** An event as it is stored and heard: CloudEvents 1.0 in its structured form, msgpack instead of JSON. */
export const Envelope = Type.Object({
  specversion: Type.Literal('1.0'),
  /** Unique for each source. */
  id: line(256),
  /** `/layers/<layer>/<instance>` */
  source: line(MAX_SOURCE),
  /** `terrace.<type as declared>` */
  type: line(128),
  /** RFC 3339, UTC, milliseconds. */
  time: line(64),
  /** The name of the layer in which it happened (an extension attribute, as the next one). */
  layer: Type.Optional(line(MAX_LAYER)),
  /** Of one that a layer below told: its place in the stream there, `<when that stream was made>/<sequence>`. */
  origin: Type.Optional(line(128)),
  data: Type.Unknown(),
});
export type Envelope = Static<typeof Envelope>;

/** An event of the stream; undefined where it can't be read, such as one that an earlier version let in. */
export function readEvent(bytes: Uint8Array): Envelope | undefined {
  try {
    return unpack(Envelope, bytes);
  } catch (error) {
    if (Fault.is(error, 'malformed')) return undefined;
    throw error;
  }
}

/** What a listener gets: the envelope, its data checked by the event's own schema. */
export type ReceivedEvent<T> = Omit<Envelope, 'data'> & { data: T };

const fields = Object.keys(Envelope.properties);

/** What a Terrace stores of an event: nothing that somebody added to the envelope, which is not checked anywhere. */
export const known = (event: Envelope): Envelope =>
  Object.fromEntries(Object.entries(event).filter(([field]) => fields.includes(field))) as Envelope;
