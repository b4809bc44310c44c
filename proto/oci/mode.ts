import { type Static, Type } from '../contract/schema.ts';

/** Whether clients may push to a layer and pull from it, or only pull. */
export const Mode = Type.Union([Type.Literal('ReadWrite'), Type.Literal('ReadOnly')]);
export type Mode = Static<typeof Mode>;
