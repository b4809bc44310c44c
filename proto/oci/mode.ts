import { type Static, Type } from '@sinclair/typebox';

/** What clients may do with a layer: push and pull, or only pull. */
export const Mode = Type.Union([Type.Literal('ReadWrite'), Type.Literal('ReadOnly')]);
export type Mode = Static<typeof Mode>;
