import type { Manifest } from '#proto/api/manifests.ts';
import type { TagItem } from '#proto/api/repositories.ts';
import type { Attached } from '#proto/content/images.ts';
import { isIndexType } from '#proto/oci/manifest.ts';
import { formatBytes, plural, shortDigest } from '../../terminal/figures.ts';
import { wrapLines } from '../../terminal/layout.ts';
import { table } from '../../terminal/table.ts';
import { originText, stateWords } from './content-text.ts';

/** One image for people. */

/** What the configuration of an image says of how it runs. */
export type ImageConfig = {
  created?: string;
  user?: string;
  entrypoint?: string[];
  cmd?: string[];
  ports?: string[];
};

/** All that `terrace show` knows. `manifests`: those of an index that are here, the first ones. */
export type ShownImage = {
  name: string;
  manifest: Manifest;
  tag?: TagItem | undefined;
  manifests: Manifest[];
  config?: ImageConfig | undefined;
  /** Layers below that have it. */
  below: { layer: string; at: number }[];
};

/** Max layers and entries that are listed of one manifest. */
const MAX_LISTED = 40;
/** Annotations that say what an image is, in their order. */
const OF_INTEREST =
  /^(?:org\.opencontainers\.image\.|io\.artifacthub\.|org\.opencontainers\.artifact\.|io\.terrace\.)/;
const MAX_ANNOTATIONS = 12;
const MAX_ANNOTATION = 200;

export function imageText(image: ShownImage, width: number): string {
  const { manifest, manifests } = image;
  const sections = [
    headText(image),
    wrapLines(factLines(image).join('\n'), width),
    platformTable(manifest, width),
    ...(manifest.platforms.length === 0 ? [layersText(manifest, width)] : []),
    ...manifests.map((one) => layersText(one, width, platformOf(manifest, one))),
    attachedTable(manifest, width),
    wrapLines(annotationLines(manifest).join('\n'), width),
  ];
  return sections.filter(Boolean).join('\n\n');
}

const headText = ({ name, manifest }: ShownImage): string => `${name}\n${manifest.digest}`;

function factLines({ manifest, tag, config, below }: ShownImage): string[] {
  const { image, artifactType, mediaType, leftOut, subject, origin } = manifest;
  const kind = isIndexType(mediaType) ? 'index' : image?.artifactType ? 'artifact' : 'image';
  const facts: [string, string | undefined][] = [
    ['kind', `${kind} (${mediaType})`],
    ['type', image?.artifactType ?? (kind === 'image' ? undefined : artifactType)],
    ['size', sizeText(manifest)],
    ['left out', leftOut.map(({ platform }) => platform).join(', ') || undefined],
    ['refers to', subject],
    ['origin', origin && originText(origin)],
    ['parent', tag && parentText(tag)],
    ['below', belowText(below)],
    ['signed', signedText(image?.attached ?? [])],
    ['created', config?.created],
    ['user', config?.user],
    ['runs', [...(config?.entrypoint ?? []), ...(config?.cmd ?? [])].join(' ') || undefined],
    ['ports', config?.ports?.join(', ')],
  ];
  return facts.flatMap(([name, text]) => (text ? [`  ${name.padEnd(10)}${text}`] : []));
}

function sizeText({ image, total }: Manifest): string {
  if (!image) return formatBytes(total);
  const missing = image.missing > 0 ? `; ${plural(image.missing, 'part is', 'parts are')} not here` : '';
  return `${formatBytes(image.total)} here${missing}`;
}

/** How the tag stands against the parent, and who holds the image. */
function parentText({ state, parent, parked, reason, digest }: TagItem): string {
  const words = stateWords(state);
  const refused = parked && reason ? `; the parent refuses it: ${reason}` : '';
  if (state === 'in-sync') return `${words}: held here and at the parent`;
  if (state === 'local' || state === undefined) return `${words}: not exchanged with a parent`;
  if (state === 'unknown') return `${words}: the layer has not compared it yet`;
  if (parent === null) return `${words}: the parent does not have the tag${refused}`;
  if (parent === undefined) return `${words}: held here, not at the parent yet${refused}`;
  return digest === parent
    ? `${words}${refused}`
    : `${words}: the parent has ${shortDigest(parent)}${refused}`;
}

/** Max layers below that are named. */
const MAX_BELOW = 8;

/** Undefined if no event of a layer below names it: that does not show that none has it. */
function belowText(below: ShownImage['below']): string | undefined {
  if (below.length === 0) return undefined;
  const more = below.length > MAX_BELOW ? ` and ${below.length - MAX_BELOW} more` : '';
  const names = below.slice(0, MAX_BELOW).map(({ layer }) => layer);
  return `held by ${names.join(', ')}${more}, as their events say`;
}

/** What signatures say. Nothing that was not verified is called so. */
export function signedText(attached: readonly Attached[]): string {
  const signers = attached.flatMap(({ kind, signer }) => (kind === 'signature' && signer ? [signer] : []));
  const isSigned = attached.some(({ kind }) => kind === 'signature');
  if (signers.length === 0) return isSigned ? 'signed, not verified' : 'no signature here';
  return signers
    .map(({ scheme, by, issuer, verified }) => {
      const claimed = by ? `, as ${by}${issuer ? ` (certificate of ${issuer})` : ''}` : '';
      return `signed, ${verified ? 'verified' : 'not verified'}: ${scheme}${claimed}`;
    })
    .join('; ');
}

function platformTable({ platforms, omitted }: Manifest, width: number): string {
  if (platforms.length === 0) return '';
  const rows = platforms
    .slice(0, MAX_LISTED)
    .map(({ platform, digest, here }) => [
      platform === 'unknown/unknown' ? 'none (attestation)' : (platform ?? ''),
      shortDigest(digest),
      here ? 'here' : 'not here',
    ]);
  return withMore(
    table([['PLATFORM', 'MANIFEST', 'STATE'], ...rows], width),
    platforms.length - rows.length + (omitted ?? 0),
  );
}

const platformOf = ({ platforms }: Manifest, { digest }: Manifest): string =>
  platforms.find((entry) => entry.digest === digest)?.platform ?? '';

function layersText(manifest: Manifest, width: number, platform = ''): string {
  const { config, layers, total, digest, omitted } = manifest;
  const parts = [
    ...(config ? [{ ...config, name: 'config' }] : []),
    ...layers.slice(0, MAX_LISTED).map((layer, index) => ({ ...layer, name: String(index + 1) })),
  ];
  if (parts.length === 0) return '';
  const rows = parts.map(({ name, digest: part, size, mediaType, here }) => [
    name,
    shortDigest(part),
    formatBytes(size),
    shortType(mediaType),
    here ? '' : 'not here',
  ]);
  const title = `${platform || 'Layers'}: ${plural(layers.length, 'layer')}, ${formatBytes(total)}, ${shortDigest(digest)}`;
  const listed = table([['LAYER', 'DIGEST', 'SIZE', 'TYPE', ''], ...rows], width);
  return `${title}\n${withMore(listed, layers.length - Math.min(layers.length, MAX_LISTED) + (omitted ?? 0))}`;
}

const withMore = (text: string, more: number): string => (more > 0 ? `${text}\n… and ${more} more` : text);

/** Without what all types of images begin with. */
const shortType = (mediaType: string): string =>
  mediaType.replace(/^application\/vnd\.(?:oci\.image|docker(?:\.image|\.container)?)\./, '');

function attachedTable({ image }: Manifest, width: number): string {
  const attached = image?.attached ?? [];
  if (attached.length === 0) return 'Nothing is attached: no signature, SBOM or attestation.';
  const rows = attached.map(({ kind, via, digest, artifactType, contentType, size, platform }) => [
    kind,
    [artifactType ?? contentType ?? '', platform].filter(Boolean).join(', for '),
    via,
    shortDigest(digest),
    formatBytes(size),
  ]);
  const text = table([['ATTACHED', 'TYPE', 'BY', 'MANIFEST', 'SIZE'], ...rows], width);
  return image?.moreAttached ? `${text}\n… and more` : text;
}

function annotationLines({ annotations }: Manifest): string[] {
  const all = Object.entries(annotations);
  const shown = all.filter(([name]) => OF_INTEREST.test(name)).slice(0, MAX_ANNOTATIONS);
  const more = all.length - shown.length;
  if (all.length === 0) return [];
  return [
    'Annotations:',
    ...shown.map(([name, text]) => `  ${name}: ${text.slice(0, MAX_ANNOTATION)}`),
    ...(more > 0 ? [`  … and ${plural(more, 'other')}: --json has all`] : []),
  ];
}
