/** Names and digests as text. Pure. */

/** `sha256:0123456789ab` */
export const shortDigest = (digest: string): string => digest.slice(0, digest.indexOf(':') + 13);

const isDigest = (reference: string) => reference.includes(':');

/** `line/web:2`, or `line/web@sha256:0123456789ab` for a digest. */
export function imageName(repository: string, reference?: string | null): string {
  if (!reference) return repository;
  return isDigest(reference) ? `${repository}@${shortDigest(reference)}` : `${repository}:${reference}`;
}

/** The name by which a client pulls it: the address without its scheme. */
export function pullName(url: string, repository: string, reference: string): string {
  const host = url.replace(/^[a-z]+:\/\//, '').replace(/\/$/, '');
  return `${host}/${repository}${isDigest(reference) ? '@' : ':'}${reference}`;
}

/** Address of a registry without scheme and trailing slash, as people say it. */
export const hostText = (url: string): string => url.replace(/^https?:\/\//, '').replace(/\/$/, '');

const MEDIA_KINDS: [RegExp, string][] = [
  [/image\.index|manifest\.list/, 'Index'],
  [/helm\.config/, 'Helm chart'],
  [/image\.manifest|distribution\.manifest/, 'Image manifest'],
  [/image\.config|container\.image/, 'Configuration'],
  [/layer.*zstd/, 'Layer, zstd'],
  [/layer.*gzip/, 'Layer, gzip'],
  [/layer/, 'Layer, not compressed'],
];

/** `Layer, gzip` for the media types of images; others as they are. */
export const mediaText = (mediaType: string): string =>
  MEDIA_KINDS.find(([pattern]) => pattern.test(mediaType))?.[1] ?? mediaType;
