import { FilePath } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { mapping, optional } from './fields.ts';

/** Max keys of senders that are trusted. */
export const MAX_TRUSTED_KEYS = 100;

/** Field `archive` of a configuration document: which archives the layer imports. */
export const ArchiveDocument = mapping(
  {
    keyFiles: optional(
      Type.Array(FilePath, { maxItems: MAX_TRUSTED_KEYS }),
      'Public keys (PEM: Ed25519, or ECDSA P-256) of trusted senders. With any, `terrace import` refuses a set that none of them signed. Read again at each import.',
      'write a list of paths of PEM files with public keys',
      { otherwise: 'not verified; each import warns' },
    ),
  },
  'Content that arrives as files: see docs/operating/air-gap.md.',
);
export type ArchiveDocument = Static<typeof ArchiveDocument>;
