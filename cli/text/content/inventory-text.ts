import type { TagItem } from '#proto/api/repositories.ts';
import type { Attached, TagOrigin } from '#proto/content/images.ts';
import { isAttachedTag } from '#proto/oci/artifact-kind.ts';
import { isIndexType } from '#proto/oci/manifest.ts';
import type { Sbom } from '#proto/oci/sbom.ts';
import { formatBytes, shortDigest } from '../../terminal/figures.ts';
import { wrapLines } from '../../terminal/layout.ts';
import { platformsText, stateWords, tagText } from './content-text.ts';

/** One row for each tag of the layer, for people who audit it. Pure. */

/** An SBOM that belongs to an image. `file`: where it was written; `reason`: why it could not be read. */
export type InventorySbom = Omit<Sbom, 'extracted'> & {
  digest: string;
  platform?: string;
  file?: string;
  reason?: string;
};

export type InventoryRow = {
  image: string;
  repository: string;
  tag: string;
  digest: string;
  kind: 'image' | 'index' | 'artifact' | 'attached';
  mediaType?: string;
  artifactType?: string;
  platforms: string[];
  bytes?: number;
  /** Parts that the layer does not have. */
  missing?: number;
  origin?: TagOrigin;
  /** How it stands against the parent. */
  parent: string;
  attached: Attached[];
  moreAttached?: boolean;
  sboms?: InventorySbom[];
};

/** Undefined for a tag that only the parent has. */
export function inventoryRow(repository: string, item: TagItem): InventoryRow | undefined {
  const { tag, digest, image, origin, state } = item;
  if (digest === undefined) return undefined;
  const {
    mediaType,
    artifactType,
    platforms = [],
    total,
    missing,
    attached = [],
    moreAttached,
  } = image ?? {};
  return {
    image: `${repository}:${tag}`,
    ...{ repository, tag, digest },
    kind: kindOf(tag, mediaType, artifactType),
    ...(mediaType !== undefined && { mediaType }),
    ...(artifactType !== undefined && { artifactType }),
    platforms,
    ...(total !== undefined && { bytes: total }),
    ...(missing !== undefined && missing > 0 && { missing }),
    ...(origin && { origin }),
    parent: stateWords(state),
    attached,
    ...(moreAttached && { moreAttached }),
  };
}

function kindOf(tag: string, mediaType = '', artifactType?: string): InventoryRow['kind'] {
  if (isAttachedTag(tag)) return 'attached';
  if (isIndexType(mediaType)) return 'index';
  return artifactType === undefined ? 'image' : 'artifact';
}

export const CSV_HEAD = [
  ...['image', 'tag', 'digest', 'kind', 'media type', 'artifact type', 'platforms', 'bytes', 'missing parts'],
  ...['since', 'from', 'from whom', 'parent', 'signed', 'signers', 'attached'],
];
export const CSV_SBOM_HEAD = ['sboms'];

export function csvCells(row: InventoryRow): (string | number)[] {
  const { origin, attached } = row;
  return [
    ...[row.image, row.tag, row.digest, row.kind, row.mediaType ?? '', row.artifactType ?? ''],
    ...[row.platforms.join(' '), row.bytes ?? '', row.missing ?? 0],
    ...[sinceText(origin), origin?.from ?? 'unknown', origin?.name ?? '', row.parent],
    ...[signedWord(attached), signersText(attached), kindsText(row)],
    ...(row.sboms ? [row.sboms.map(sbomText).join('; ')] : []),
  ];
}

function sinceText(origin: TagOrigin | undefined): string {
  if (origin?.since !== undefined) return new Date(origin.since).toISOString();
  return origin?.before === undefined ? 'unknown' : `before ${new Date(origin.before).toISOString()}`;
}

/** Nothing that was not verified is called so. */
function signedWord(attached: readonly Attached[]): string {
  const signatures = attached.filter(({ kind }) => kind === 'signature');
  if (signatures.length === 0) return 'no';
  return signatures.some(({ signer }) => signer?.verified) ? 'verified' : 'signed, not verified';
}

const signersText = (attached: readonly Attached[]): string =>
  [...new Set(attached.flatMap(({ signer }) => signer?.by ?? []))].join('; ');

/** `sbom (application/spdx+json); signature` */
function kindsText({ attached, moreAttached }: InventoryRow): string {
  const texts = attached.map(({ kind, artifactType }) => (artifactType ? `${kind} (${artifactType})` : kind));
  return [...new Set(texts), ...(moreAttached ? ['and more'] : [])].join('; ');
}

/** `SPDX 2.3 "web", 120 packages, sha256:…` */
export function sbomText({
  format,
  version,
  name,
  packages,
  digest,
  platform,
  file,
  reason,
}: InventorySbom): string {
  return [
    [format, version, name && `"${name}"`].filter(Boolean).join(' '),
    ...(platform === undefined ? [] : [`for ${platform}`]),
    ...(packages === undefined ? [] : [`${packages} packages`]),
    ...(reason === undefined ? [] : [reason]),
    file ?? digest,
  ].join(', ');
}

/** Min width of a table with all columns: a narrow one leaves some to --csv, --json and `terrace tags`. */
const MIN_WIDTH_OF_ALL = 110;

/** @param width of the table */
export const inventoryHead = (width: number): string[] =>
  width < MIN_WIDTH_OF_ALL
    ? ['IMAGE', 'SINCE', 'FROM', 'SIGNED, UNVERIFIED', 'ATTACHED']
    : ['IMAGE', 'DIGEST', 'SIZE', 'PLATFORMS', 'SINCE', 'FROM', 'SIGNED, UNVERIFIED', 'ATTACHED'];

/** @param width of the table */
export function inventoryCells(row: InventoryRow, width: number): string[] {
  const { repository, tag, digest, bytes, origin, attached, kind } = row;
  const kinds = [...new Set(attached.map((one) => one.kind).filter((one) => one !== 'signature'))].join(', ');
  const origins = [
    origin?.since === undefined ? 'unknown' : new Date(origin.since).toISOString().slice(0, 10),
    origin?.name ?? origin?.from ?? '',
    signedText(attached),
    kinds,
  ];
  const image = `${repository}:${tagText(tag)}`;
  if (width < MIN_WIDTH_OF_ALL) return [image, ...origins];
  return [
    image,
    digest.slice(digest.indexOf(':') + 1).slice(0, 12),
    bytes === undefined ? '' : formatBytes(bytes),
    kind === 'attached' ? 'attached' : platformsText(row),
    ...origins,
  ];
}

/** The head says that nothing is verified, unless a cell says that it is. */
function signedText(attached: readonly Attached[]): string {
  const word = signedWord(attached);
  if (word === 'no') return word;
  const by = signersText(attached) || 'by a key';
  return word === 'verified' ? `verified: ${by}` : by;
}

/** A line for each SBOM of a row, below it. @param width to which they are wrapped */
export const sbomLines = ({ sboms = [] }: InventoryRow, width: number): string[] =>
  sboms.map((one) => {
    const digest = shortDigest(one.digest);
    return wrapLines(`    SBOM: ${sbomText({ ...one, digest })}`, width);
  });
