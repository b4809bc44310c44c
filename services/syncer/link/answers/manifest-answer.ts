import { createHash } from 'node:crypto';
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib';
import { Fault } from '#proto/contract/fault.ts';
import { MAX_MANIFEST_BYTES } from '#proto/oci/manifest.ts';
import { type Digest, isDigest, splitDigest } from '#proto/oci/names.ts';
import { plainMediaType, readManifest } from '#proto/oci/read-manifest.ts';
import { firstValue } from './bodies.ts';

/** A manifest whose digest is checked, with the media type that its bytes have. */
export type ReadManifest = { digest: Digest; mediaType: string; bytes: Buffer };

type Headers = Record<string, string | string[] | undefined>;

/**
 * Reads the content of an answer with a manifest. Headers are hints: the digest proves the bytes, and they say what
 * they are. Pure.
 * @param about its `algorithm` is that of the digest, where the reference is a tag
 * @throws Fault `parent-invalid` if the content does not match the digest in `reference`
 */
export function readContent(
  received: Buffer,
  headers: Headers,
  {
    repository,
    reference,
    algorithm: preferred,
  }: { repository: string; reference: string; algorithm?: string | undefined },
): ReadManifest {
  const wanted = isDigest(reference) ? reference : announced(headers);
  const algorithm = wanted ? splitDigest(wanted)[0] : 'sha256';
  let bytes = received;
  let digest = hash(bytes, algorithm);
  const isAsWanted = () => (wanted ? digest === wanted : isJson(bytes));
  if (!isAsWanted()) {
    // A proxy may compress an answer although none of its encodings was accepted.
    const decoded = decode(received, firstValue(headers['content-encoding']));
    if (decoded && (!wanted || hash(decoded, algorithm) === wanted)) {
      bytes = decoded;
      digest = hash(bytes, algorithm);
    }
  }
  if (isDigest(reference) && digest !== reference) {
    throw new Fault('parent-invalid', `the parent sent ${digest} for manifest ${reference} of ${repository}`);
  }
  if (!isDigest(reference) && preferred !== undefined) digest = hash(bytes, preferred);
  return { digest, bytes, mediaType: mediaTypeIn(bytes, firstValue(headers['content-type']) ?? '') };
}

function announced(headers: Headers): Digest | undefined {
  const digest = firstValue(headers['docker-content-digest'])?.trim() ?? '';
  return isDigest(digest) ? digest : undefined;
}

const hash = (bytes: Buffer, algorithm: string): Digest =>
  `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;

const isJson = (bytes: Buffer): boolean => /^\s*\{/.test(bytes.subarray(0, 64).toString('latin1'));

const DECODERS: Record<string, (bytes: Buffer, options: { maxOutputLength: number }) => Buffer> = {
  gzip: gunzipSync,
  'x-gzip': gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};

/** @returns undefined if it can't be decoded, or would be larger than a manifest may be */
function decode(bytes: Buffer, encoding: string | undefined): Buffer | undefined {
  const decoder = DECODERS[encoding?.trim().toLowerCase() ?? ''];
  try {
    return decoder?.(bytes, { maxOutputLength: MAX_MANIFEST_BYTES });
  } catch {
    return undefined;
  }
}

/** The header's media type stays where the bytes are no manifest that can be read: its reader says why. */
function mediaTypeIn(bytes: Buffer, header: string): string {
  try {
    return readManifest(bytes, header).mediaType;
  } catch {
    return plainMediaType(header);
  }
}
