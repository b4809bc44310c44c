import { request } from '../contract/contract.ts';
import { WireFault } from '../contract/fault.ts';
import { Bytes, FilePath, Instant, Party } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Digest, Repository } from '../oci/names.ts';
import { ImageContext } from './arriving.ts';
import { DeltaRecord } from './deltas.ts';

/**
 * Content being written, not yet visible. An ingest is a folder of the data volume that holds the bytes; storage
 * opens it, one writer at a time writes into it directly, storage commits it.
 *
 * A writer holds a claim: a token with a time to live, which the writer renews. A claim that ended or was taken over is
 * fenced: its holder's requests fail with `claim-lost`, and a late write into the old file can't reach committed
 * content, because an ingest that ever had a claim not released in good order is committed from a private copy, hashed
 * while it is copied. A claim past its time may be taken over; until another writer does so, it is valid, and a renewal
 * extends it.
 *
 * A claim on an upload is idle between the requests that bring its parts: the process that has it resumes it without
 * asking storage, and storage grants the upload to any other process that asks, at once and in good order. The state is
 * a file, changed by an atomic rename: see `proto/volume/claim-files.ts`.
 */
export const CLAIM_TTL_MS = 8_000;
export const CLAIM_RENEW_MS = 2_000;
/**
 * Max time since the last renewal of an idle claim when it is resumed: its next renewal comes well before its TTL.
 * After that, claim the upload again.
 */
export const MAX_IDLE_CLAIM_MS = CLAIM_TTL_MS - 2 * CLAIM_RENEW_MS;

const IngestId = Type.String({ pattern: '^[a-z0-9-]{1,160}$', maxLength: 160 });
const ClaimToken = Type.String({ maxLength: 128 });
const Held = Type.Object({ id: IngestId, claim: ClaimToken });

export const Claim = Type.Object({
  id: IngestId,
  claim: ClaimToken,
  /** The ingest's folder, relative to the data volume; its bytes are the file `data` in it. */
  path: FilePath,
  /** Bytes in the file `data` now: an upload resumes here. */
  offset: Bytes,
});
export type Claim = Static<typeof Claim>;

/**
 * Opens an upload. With `hold`, the caller holds its claim, which is never idle. Otherwise the claim is idle: the
 * caller may resume it within `MAX_IDLE_CLAIM_MS`, and anyone may claim the upload. `alone`: nobody continues it after
 * the caller, so that it is abandoned soon after its claim has expired.
 */
export const startUpload = request(
  'storage.upload.start',
  Type.Object({
    repository: Repository,
    by: Party,
    hold: Type.Boolean(),
    alone: Type.Optional(Type.Boolean()),
  }),
  Claim,
);

/** The claim is active; it is released, or suspended to be idle. Faults: `upload-unknown`, `busy`. */
export const claimUpload = request(
  'storage.upload.claim',
  Type.Object({ repository: Repository, id: IngestId, by: Party }),
  Claim,
);

/** Faults: `upload-unknown`. */
export const uploadStatus = request(
  'storage.upload.status',
  Type.Object({ repository: Repository, id: IngestId }),
  Type.Object({ offset: Bytes, touched: Instant }),
);

/** Deletes an upload, even if another writer holds it. Faults: `upload-unknown`. */
export const abortUpload = request(
  'storage.upload.abort',
  Type.Object({ repository: Repository, id: IngestId }),
  Type.Object({}),
);

const Wanted = {
  digest: Digest,
  size: Bytes,
  repository: Type.Optional(Repository),
  part: Type.Optional(ImageContext),
  /** The content is this delta, and not a blob. */
  delta: Type.Optional(DeltaRecord),
};
const TransferClaim = Type.Object({ ...Claim.properties, clean: Type.Boolean() });

/**
 * Claims the one ingest of a blob that crosses the link. The first claim creates it; every later claim, by any syncer,
 * finds it again. `clean` is false if an earlier claim was not released in good order: the bytes on disk must then be
 * verified before they are used. `repository` is the one that the blob is for, and `part` its place there, for the
 * layers below: see `arriving.ts`. With `delta`, content that is committed already is held as this delta from then on
 * if its header says that it is one, and the answer is `exists`. Faults: `busy`, `exists`.
 */
export const claimTransfer = request(
  'storage.transfer.claim',
  Type.Object({ ...Wanted, by: Party }),
  TransferClaim,
);

/** Max blobs that are claimed, and committed, with one request. */
export const MAX_TRANSFER_GROUP = 32;

/** Claims the ingests of several blobs, as `claimTransfer`. The answers are in the order of the blobs. */
export const claimTransfers = request(
  'storage.transfer.claim-all',
  Type.Object({
    by: Party,
    blobs: Type.Array(Type.Object(Wanted), { maxItems: MAX_TRANSFER_GROUP }),
  }),
  Type.Object({
    answers: Type.Array(
      Type.Object({ claim: Type.Optional(TransferClaim), fault: Type.Optional(WireFault) }),
      {
        maxItems: MAX_TRANSFER_GROUP,
      },
    ),
  }),
);

/** Faults: `claim-lost`. */
export const renewClaim = request('storage.claim.renew', Held, Type.Object({}));

/** Ends a claim in good order: the holder has written its last byte, and the ingest stays. Faults: `claim-lost`. */
export const releaseClaim = request('storage.claim.release', Held, Type.Object({}));

/** Deletes the ingest and its bytes. Faults: `claim-lost`. */
export const discardIngest = request('storage.claim.discard', Held, Type.Object({}));

/**
 * Makes the content visible as a blob, and links it in `repository` if one is named. With `delta`, or if its transfer
 * was claimed with one, the content is held as this delta (deltas.ts) and not linked. `hashed` is the digest that the
 * writer computed while it wrote the file alone and in order, from byte 0 to the end; storage trusts it only if its own
 * records confirm this, and hashes the file itself in every other case.
 * Content that is committed already is success, also if the ingest is deleted because an earlier request committed it
 * and its answer was lost. Faults: `claim-lost`, `digest-invalid`, `size-invalid`, `no-space`;
 * after `digest-invalid` and `size-invalid` the claim is still held.
 */
export const commitBlob = request(
  'storage.blob.commit',
  Type.Object({
    id: IngestId,
    claim: ClaimToken,
    digest: Digest,
    size: Type.Optional(Bytes),
    hashed: Type.Optional(Digest),
    repository: Type.Optional(Repository),
    delta: Type.Optional(DeltaRecord),
  }),
  Type.Object({ size: Bytes }),
);

/** Commits several blobs that crossed the link, as `commitBlob`. The answers are in the order of the blobs. */
export const commitTransfers = request(
  'storage.transfer.commit-all',
  Type.Object({
    blobs: Type.Array(
      Type.Object({ ...Held.properties, digest: Digest, size: Bytes, hashed: Type.Optional(Digest) }),
      { maxItems: MAX_TRANSFER_GROUP },
    ),
  }),
  Type.Object({
    answers: Type.Array(Type.Object({ fault: Type.Optional(WireFault) }), { maxItems: MAX_TRANSFER_GROUP }),
  }),
);
