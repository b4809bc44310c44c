import type { FileHandle } from 'node:fs/promises';

/**
 * The part of the tar format (POSIX.1-2017, "ustar Interchange Format" and "pax Header Block") that a backup has:
 * files with paths of any length, and sizes of any length in the base-256 form that all common tools read. Any tar
 * reads what is written here.
 */
export const BLOCK_BYTES = 512;
const MAX_NAME = 100;
const MAX_OCTAL_SIZE = 8 ** 11;
/** Max bytes of a pax header: only paths are read from them. */
const MAX_PAX_BYTES = 64 * 1024;

export type TarEntry = { path: string; size: number; offset: number };

export const paddedSize = (size: number): number => Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;

/** Blocks in front of the content of a file. @param at modification time, in ms since 1970 */
export function headerOf(path: string, size: number, at: number): Buffer {
  if (Buffer.byteLength(path) <= MAX_NAME) return block(path, size, at, '0');
  const pax = paxRecord('path', path);
  const content = Buffer.alloc(paddedSize(pax.byteLength));
  pax.copy(content);
  return Buffer.concat([
    block('pax', pax.byteLength, at, 'x'),
    content,
    block(path.slice(-MAX_NAME), size, at, '0'),
  ]);
}

/** The end of an archive. */
export const tarEnd = (): Buffer => Buffer.alloc(2 * BLOCK_BYTES);

function block(name: string, size: number, at: number, type: string): Buffer {
  const header = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, offset: number, digits: number) =>
    header.write(`${value.toString(8).padStart(digits, '0')}\0`, offset, 'latin1');
  header.write(name, 0, MAX_NAME, 'utf8');
  octal(0o600, 100, 7);
  octal(0, 108, 7);
  octal(0, 116, 7);
  if (size < MAX_OCTAL_SIZE) octal(size, 124, 11);
  else {
    header[124] = 0x80;
    header.writeBigUInt64BE(BigInt(size), 128);
  }
  octal(Math.floor(at / 1_000), 136, 11);
  header.write('        ', 148, 'latin1');
  header.write(type, 156, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  header.write(`${sumOf(header).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

function sumOf(header: Buffer): number {
  let sum = 0;
  for (const byte of header) sum += byte;
  return sum;
}

/** `<length> <name>=<value>\n`, where the length counts itself. */
function paxRecord(name: string, value: string): Buffer {
  const rest = ` ${name}=${value}\n`;
  const bytes = Buffer.byteLength(rest);
  let length = bytes + 1;
  while (length !== bytes + String(length).length) length = bytes + String(length).length;
  return Buffer.from(`${length}${rest}`);
}

/** The files of an archive, in order. Ends at the first block that is no header: an archive may be cut off. */
export async function* tarEntries(file: FileHandle): AsyncGenerator<TarEntry> {
  const header = Buffer.alloc(BLOCK_BYTES);
  let path: string | undefined;
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(header, 0, BLOCK_BYTES, at);
    if (bytesRead < BLOCK_BYTES || !isHeader(header)) return;
    const size = sizeIn(header);
    const type = header.toString('latin1', 156, 157);
    const offset = at + BLOCK_BYTES;
    if (type === 'x') path = await paxPath(file, offset, size);
    else {
      if (type === '0' || type === '\0') yield { path: path ?? textIn(header, 0, MAX_NAME), size, offset };
      path = undefined;
    }
    at = offset + paddedSize(size);
  }
}

function isHeader(header: Buffer): boolean {
  if (header.toString('latin1', 257, 262) !== 'ustar') return false;
  const sum = Number.parseInt(textIn(header, 148, 8), 8);
  const blank = Buffer.from(header);
  blank.write('        ', 148, 'latin1');
  return sumOf(blank) === sum;
}

function sizeIn(header: Buffer): number {
  return (header[124] as number) & 0x80
    ? Number(header.readBigUInt64BE(128))
    : Number.parseInt(textIn(header, 124, 12), 8) || 0;
}

const textIn = (header: Buffer, offset: number, length: number): string =>
  header
    .toString('utf8', offset, offset + length)
    .split('\0')[0]
    ?.trim() ?? '';

async function paxPath(file: FileHandle, offset: number, size: number): Promise<string | undefined> {
  if (size > MAX_PAX_BYTES) return undefined;
  const content = Buffer.alloc(size);
  await file.read(content, 0, size, offset);
  return /(?:^|\n)\d+ path=([^\n]*)\n/.exec(content.toString('utf8'))?.[1];
}
