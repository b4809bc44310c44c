import { DeltaMode } from '../content/deltas.ts';
import type { Static } from '../contract/schema.ts';
import { mapping, optional } from './fields.ts';
import { Amount, Duration } from './quantities.ts';

/** Field `delta` of a configuration document: whether updates cross the link as deltas, and what they may cost. */
export const DeltaDocument = mapping(
  {
    mode: optional(
      DeltaMode,
      'Whether content crosses the link, in either direction, as a delta to what the receiver holds: `auto` where it saves time, `always` where it saves bytes, `off` never. With `off`, layers in zstd:chunked and eStargz come in full from any registry, too.',
      'write auto, always or off',
      { default: 'auto' },
    ),
    cache: optional(
      Amount,
      'Max size of the deltas that are kept for the layers below; those that were not used for the longest time are deleted first.',
      'write bytes, such as 2GiB',
      { default: '2GiB' },
    ),
    scratch: optional(
      Amount,
      'Max disk space that making or applying a delta may take for temporary files; content that needs more crosses the link in full.',
      'write bytes, such as 16GiB',
      { default: '16GiB' },
    ),
    time: optional(
      Duration,
      'Max time for making or applying one delta; content that needs more crosses the link in full.',
      'write an ISO 8601 duration from PT1S to P1D, such as PT15M',
      { default: 'PT15M' },
    ),
  },
  'Updates as deltas, between two layers: see docs/operating/smaller-updates.md.',
);
export type DeltaDocument = Static<typeof DeltaDocument>;
