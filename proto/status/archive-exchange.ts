import { Bytes, Count, FilePath, Instant, Reason } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';

/** Exchange of archives with layers to which there is no link, as a part of the status of storage. */

/** Since when the folder, or what is in it, can't be used, and why. */
const ExchangeFailure = Type.Object({ since: Instant, reason: Reason });

export const ExchangeStatus = Type.Object({
  /** Name of the other layer; absent if any layer may be the one above, and none has sent anything. */
  peer: Type.Optional(Type.String({ maxLength: 63 })),
  /** Whether the other layer is above or below. */
  isParent: Type.Boolean(),
  inbox: Type.Optional(
    Type.Object({
      folder: FilePath,
      /** The last set that was imported; `changed`: tags that it moved or deleted. */
      last: Type.Optional(Type.Object({ number: Count, at: Instant, bytes: Bytes, changed: Count })),
      failure: Type.Optional(ExchangeFailure),
    }),
  ),
  outbox: Type.Optional(
    Type.Object({
      folder: FilePath,
      /** The last set that was written. */
      last: Type.Optional(Type.Object({ number: Count, at: Instant, bytes: Bytes })),
      /** The last set that the other layer has imported, as far as it has reported. */
      acknowledged: Type.Optional(Count),
      failure: Type.Optional(ExchangeFailure),
    }),
  ),
});
export type ExchangeStatus = Static<typeof ExchangeStatus>;
