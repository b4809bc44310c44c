import { ChildName } from '../accounts/children.ts';
import { described } from '../contract/contract.ts';
import { Count, Instant } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Mode } from '../oci/mode.ts';
import { MAX_DEPTH, MAX_LAYERS } from '../status/layers-below.ts';
import { LinkStatus } from '../status/status.ts';
import { SyncFigure } from '../sync/sync-figure.ts';
import { Held } from './layer.ts';

/** The layers below, as they reported. */

const fields = {
  path: Type.Array(ChildName, {
    minItems: 1,
    maxItems: MAX_DEPTH,
    description: 'The children that lead to it from this layer.',
  }),
  name: Type.String({ maxLength: 128, description: 'Its own name.' }),
  mode: Type.Optional(described(Mode, 'Absent for a layer of which only layers below it are known.')),
  link: Type.Optional(described(LinkStatus, 'Its link to its parent. `not-heard`: it is cut off.')),
  sync: Type.Optional(described(SyncFigure, 'It compared with its parent.')),
  held: Type.Optional(Held),
  waiting: Type.Optional(described(Count, 'Events that its parent did not have yet when it reported.')),
  seen: described(Instant, 'When this layer last had contact with the child that reported it.'),
  at: Type.Optional(described(Instant, 'When it reported, by its own clock.')),
  leftOut: Type.Optional(described(Count, 'Layers below it that its report omits.')),
};

/** Name of this schema in the document of the API: it refers to itself. */
export const LAYER_BELOW = 'LayerBelow';

/** JSON Schema of a layer with those below it. */
export const LayerBelow = Type.Object(
  {
    ...fields,
    children: Type.Array(Type.Unknown({ $ref: `#/components/schemas/${LAYER_BELOW}` }), {
      maxItems: MAX_LAYERS,
      description: 'Layers directly below it.',
    }),
  },
  { description: 'A layer below, as of its last report.' },
);
export type LayerBelow = Omit<Static<typeof LayerBelow>, 'children'> & { children: LayerBelow[] };

export const Layers = Type.Object(
  {
    items: Type.Array(LayerBelow, { maxItems: 1_000, description: 'Layers directly below this one.' }),
    count: described(Count, 'Layers below, at any depth.'),
    more: Type.Boolean({ description: 'There are more layers than the answer has.' }),
  },
  { description: 'The layers below as a tree.' },
);
export type Layers = Omit<Static<typeof Layers>, 'items'> & { items: LayerBelow[] };
