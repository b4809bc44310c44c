import type { PasswordName } from '#proto/accounts/accounts.ts';
import type { Part } from '#proto/content/arriving.ts';
import type { Mark } from '#proto/sync/marks.ts';
import type { Parked } from '#proto/sync/outgoing.ts';

/** What metadata holds of each thing. Instants are milliseconds since 1970. */

export type BlobRecord = { size: number };

/** `since` in ms since 1970. `repository`: for which it came, last. */
export type TransferredRecord = { since: number; repository?: string };
export type DamagedRecord = { size: number; since: number };

export type ManifestRecord = { mediaType: string; size: number; subject?: string };

/** A manifest that a client put and the parent does not have, as far as the layer knows. */
export type UnsentRecord = {
  since: number;
  /** It was to be withdrawn before: the parent may still have it. */
  again?: true;
  /** It was here before such records were kept, or before there was this parent: nobody knows where it came from. */
  found?: true;
};

/** A manifest that parent and layer had, and that a client deleted. */
export type WithdrawnRecord = { since: number };

/** `of` names the parent, and all that decides what comes from it. */
export type CursorRecord = { of: string; cursor: string | null };

/** `of` as above. */
export type MarkRecord = Mark & { of: string };

/** The rest of it is the key. */
export type ParkedRecord = Omit<Parked, 'repository' | 'reference'>;

/** The descriptor of a manifest, as the referrers list of its subject gives it. */
export type ReferrerRecord = {
  mediaType: string;
  size: number;
  artifactType?: string;
  annotations?: Record<string, string>;
};

export type IngestRecord = {
  purpose: 'upload' | 'transfer';
  /** Of an upload; of a transfer, for which it was last asked. */
  repository?: string;
  /** Of an upload: who began it; absent where that has no account. */
  account?: string;
  /** Of a transfer. */
  part?: Part;
  digest?: string;
  size?: number;
  /** When a claim last gave a sign of life. */
  touched: number;
  /** Who ever claimed it; not more than two, as only "one" and "several" matter. */
  writers: string[];
  /** A claim was not released in good order: an old writer may still have the file open. */
  unclean: boolean;
  claim?: { token: string; by: string; until: number };
  /** The file is verified and on its way to the blob of this digest: if it is gone from the ingest, it is there. */
  placing?: string;
};

export type TokenRecord = {
  enabled: boolean;
  scopeMap: string;
  created: number;
  passwords: {
    name: PasswordName;
    hash: string;
    created: number;
    expires?: number;
    /** The hash is of what this file held. */
    secretFile?: string;
  }[];
  /** It is as the configuration document says, and goes with its place there. */
  declared?: true;
};

/** The instance of a child that is activated. `seen` is not synced. */
export type ChildRecord = { instance: string; since: number; seen: number; start?: Held };

/**
 * `place` is that of the data volume at the last start (proto/volume/folder-identity.ts), which comes first of `ids`; `ended`: of
 * those behind it, so many had ended for sure.
 */
export type StartsRecord = { place: string; ids: string[]; ended: number };

/** An event that the stream was not seen to have; `at` is when it was about to happen. */
export type AnnouncementRecord = { type: string; data: unknown; at: number };

export type ScopeMapRecord = {
  description?: string;
  actions: string[];
  /** It was made with the token of its name, and goes with it. */
  own?: true;
  /** That token is declared. */
  declared?: true;
};

/** What is remembered of the start that has the place of a child. */
export type Held = {
  id: string;
  /** When it was started, by its own clock. */
  at: number;
  /** Where its last request came from. */
  address?: string;
  /** Starts that had the place before. */
  replaced?: string[];
  /** Starts that asked for the place while this one, or one before it, was alive: copies. */
  copies?: string[];
};
