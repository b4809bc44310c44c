import { splitDigest } from '../oci/names.ts';

/**
 * Tar archives (POSIX.1-2001, "pax") of regular files. Everything that a machine or a moment would put into a header is
 * constant: the same files make the same bytes.
 */

export const BLOCK_BYTES = 512;
/** An archive ends with two empty blocks. */
export const END_BYTES = 2 * BLOCK_BYTES;
/** Limits of the fields of a header: beyond them, a record in front of it holds the value. */
const MAX_NAME = 100;
const MAX_OCTAL_SIZE = 0o77777777777;

/** Path of content in an OCI image layout. @param piece number of a piece, from 1, if a blob is in several parts */
export function layoutPath(digest: string, piece?: number): string {
  const [algorithm, hex] = splitDigest(digest);
  return `blobs/${algorithm}/${hex}${piece === undefined ? '' : `.${piece}`}`;
}

/** Everything in front of the content of a file. */
export function fileHeader(path: string, size: number): Uint8Array {
  const records = [
    ...(path.length > MAX_NAME ? [record('path', path)] : []),
    ...(size > MAX_OCTAL_SIZE ? [record('size', String(size))] : []),
  ].join('');
  const own = header(path.slice(0, MAX_NAME), size > MAX_OCTAL_SIZE ? 0 : size, '0');
  if (records === '') return own;
  const extended = Buffer.from(records);
  return Buffer.concat([
    header('pax', extended.byteLength, 'x'),
    extended,
    Buffer.alloc(padding(extended.byteLength)),
    own,
  ]);
}

/** Number of bytes that fill the last block of content of this size. */
export const padding = (size: number): number => (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES;

/** Bytes of a file in an archive: its header, its content and the rest of its last block. */
export const entryBytes = (path: string, size: number): number =>
  fileHeader(path, size).byteLength + size + padding(size);

/** `<length of all of it> <key>=<value>\n` */
function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return `${length}${rest}`;
}

function header(name: string, size: number, type: string): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, at: number, width: number) =>
    block.write(value.toString(8).padStart(width - 1, '0'), at, 'latin1');
  block.write(name, 0, 'latin1');
  octal(0o644, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  block.write(' '.repeat(8), 148, 'latin1');
  block.write(type, 156, 'latin1');
  block.write('ustar\u000000', 257, 'latin1');
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\u0000 `, 148, 'latin1');
  return block;
}
