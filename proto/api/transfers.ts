import { described } from '../contract/contract.ts';
import { Bytes, Code, Count, Instant, Party } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Digest, Repository } from '../oci/names.ts';
import { SyncerStatus } from '../status/status.ts';
import { CrossingDelta, Direction } from '../sync/transfers.ts';

/** Transfers that run now. */

export const ImageTransfer = Type.Object(
  {
    repository: Repository,
    tag: Type.Optional(
      Type.String({ maxLength: 135, description: 'Tag or digest of the image, if it is known.' }),
    ),
    direction: Direction,
    blobs: described(Count, 'Blobs of the image that are being transferred now.'),
    bytes: described(
      Bytes,
      'Bytes of the image that have to cross the link; of several images at a time, or one whose beginning is not known, of the blobs that are being transferred now.',
    ),
    done: described(Bytes, 'Those of them at the far end.'),
    saved: Type.Optional(
      described(
        Bytes,
        'Bytes of these blobs that do not cross the link, and are not part of `bytes`: deltas do instead.',
      ),
    ),
    rate: Type.Optional(described(Bytes, 'Bytes a second now.')),
    left: Type.Optional(
      Type.Number({
        minimum: 0,
        description:
          'Time left at that rate, in seconds. Absent while it is not known what remains of the image.',
      }),
    ),
    by: Type.Array(Party, { maxItems: 64, description: 'Syncers that carry it.' }),
  },
  { description: 'An image that crosses the link.' },
);
export type ImageTransfer = Static<typeof ImageTransfer>;

export const TransferItem = Type.Object(
  {
    repository: Repository,
    digest: Digest,
    direction: Direction,
    size: described(Bytes, 'Size of the blob.'),
    delta: Type.Optional(
      described(
        CrossingDelta,
        'What crosses the link instead of the blob: `done`, `rate` and `left` are of its bytes.',
      ),
    ),
    done: Type.Optional(described(Bytes, 'Bytes at the far end; absent until that is known.')),
    rate: Type.Optional(described(Bytes, 'Bytes a second now.')),
    left: Type.Optional(Type.Number({ minimum: 0, description: 'Time left at that rate, in seconds.' })),
    syncer: described(Party, 'Syncer that carries it.'),
    retries: described(Count, 'Attempts after the first one.'),
    waits: Type.Optional(described(Instant, 'It waits until then before its next attempt.')),
    code: Type.Optional(described(Code, 'While it waits: why the last attempt failed.')),
  },
  { description: 'A blob that crosses the link, or waits for its next attempt.' },
);
export type TransferItem = Static<typeof TransferItem>;

export const Waiting = Type.Object(
  {
    down: described(Count, 'Transfers from the parent that wait for a syncer, about.'),
    up: described(Count, 'Transfers to the parent that wait for a syncer, about.'),
  },
  { description: 'What no syncer has taken yet.' },
);

export const Transfers = Type.Object(
  {
    images: Type.Array(ImageTransfer, { maxItems: 1_000 }),
    items: Type.Array(TransferItem, { maxItems: 1_000, description: 'Each blob.' }),
    waiting: Type.Optional(described(Waiting, 'Absent while the queue can not be read.')),
    transfers: Type.Array(SyncerStatus, { maxItems: 256, description: 'Each syncer with its transfers.' }),
    rate: Type.Object(
      {
        down: described(Bytes, 'Bytes a second from the parent now.'),
        up: described(Bytes, 'Bytes a second to the parent now.'),
      },
      { description: 'Sum of all transfers.' },
    ),
  },
  { description: 'What crosses the link now.' },
);
export type Transfers = Static<typeof Transfers>;
