import type { Descriptor } from '#proto/oci/manifest.ts';
import { type Content, pieces } from './content.ts';
import { pushBlob } from './registry.ts';

export const BLOCK = 512;

/** Pushes a tar archive of one file as a layer, generated as a stream. */
export async function pushTar(
  host: string,
  repository: string,
  name: string,
  content: Content,
): Promise<Descriptor> {
  const layer = await pushBlob(host, repository, () => archive(name, content));
  return { ...layer, mediaType: 'application/vnd.oci.image.layer.v1.tar' };
}

function* archive(name: string, content: Content): Generator<Buffer> {
  yield tarHeader(name, content.size);
  yield* pieces(content);
  yield padding(content.size);
  yield Buffer.alloc(2 * BLOCK);
}

/** A header of POSIX.1-1988 (ustar). */
export function tarHeader(name: string, size: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, width: number) =>
    block.write(value.toString(8).padStart(width - 1, '0'), at);
  block.write(name, 0);
  octal(0o644, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  block.write('        0', 148);
  block.write('ustar\x0000', 257);
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  );
  return block;
}

export const padding = (size: number): Buffer => Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);
