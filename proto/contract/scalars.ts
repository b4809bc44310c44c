import { MAX_REASON_LENGTH } from './fault.ts';
import { Type } from './schema.ts';

/** Schemas of single values that messages of all kinds have in common; oci/names.ts has those of the registry. */

export const Bytes = Type.Integer({
  minimum: 0,
  maximum: Number.MAX_SAFE_INTEGER,
  description: 'A size or an offset, in bytes.',
});

export const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

export const Party = Type.String({
  maxLength: 256,
  description: 'Name of the process or machine that holds or requests something.',
});

/** Position in a paged list: the last entry of the previous page. */
export const After = Type.String({ maxLength: 512 });

export const PassId = Type.String({ maxLength: 64, description: 'Id of the pass.' });

export const Code = Type.String({
  maxLength: 64,
  description: 'Code of a fault, or of an error in an answer of the parent.',
});

export const Reason = Type.String({
  maxLength: MAX_REASON_LENGTH,
  description: 'One sentence for a person; it may quote another machine.',
});

export const FilePath = Type.String({ maxLength: 4_096 });

/** Up to the last valid date (ECMA-262, "Time Values and Time Range"). */
export const Instant = Type.Integer({
  minimum: 0,
  maximum: 8_640_000_000_000_000,
  description: 'Milliseconds since 1970-01-01 UTC.',
});
