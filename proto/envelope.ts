import { type Static, Type } from '@sinclair/typebox';

/** An event as it is stored and heard: CloudEvents 1.0 in its structured form, msgpack instead of JSON. */
export const Envelope = Type.Object({
  specversion: Type.Literal('1.0'),
  /** Unique for each source. */
  id: Type.String(),
  /** `/layers/<layer>/<instance>` */
  source: Type.String(),
  /** `terrace.<type as declared>` */
  type: Type.String(),
  /** RFC 3339, UTC, milliseconds. */
  time: Type.String(),
  /** The name of the layer in which it happened (an extension attribute, as the next one). */
  layer: Type.Optional(Type.String()),
  /** Of one that a layer below told: its place in the stream there, `<when that stream was made>/<sequence>`. */
  origin: Type.Optional(Type.String()),
  data: Type.Unknown(),
});
export type Envelope = Static<typeof Envelope>;

/** What a listener gets: the envelope, its data checked by the event's own schema. */
export type Heard<T> = Omit<Envelope, 'data'> & { data: T };
