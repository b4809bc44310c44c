/*
 * The parse of a deflate stream: all that its content does not say. With the content, it makes the stream bit for bit
 * (`expansion/deflate-writer.ts`), for any encoder. It has two parts, both sequences of bytes.
 *
 *   tokens   0 n          n literals, 1 to 255
 *            0 0 0 d d    a match of 257 bytes
 *            0 0 1 d d    a match of 258 bytes, coded as symbol 284 with 31 as its extra bits
 *            1 d d        a match of 258 bytes
 *            n d d        a match of n + 1 bytes, n from 2 to 255
 *                         d d: distance - 1, little-endian
 *            The bytes of stored blocks are literals, too.
 *   blocks   flags        bits 0 and 1: type; bit 2: last block; bit 3: a byte of padding follows
 *            count        LEB128: bytes of a stored block, else its symbols without the end of the block
 *            bits header  of dynamic codes: LEB128 the bits of the header, and these bits as bytes
 *
 * Runs of literals may reach over blocks: what is equal in two contents has equal tokens, also if blocks end elsewhere.
 * The padding is that before the length of a stored block, or that behind the last block of another type.
 */

export const BLOCK_TYPE_MASK = 3;
export const LAST_BLOCK = 4;
export const HAS_PADDING = 8;

export const MAX_RUN = 255;
export const LONG_257 = 0;
export const LONG_258_AS_284 = 1;

/** A stream that is no deflate, or has a form that the parse can't express. */
export class DeflateInvalid extends Error {}

/** A stream whose content has more bytes than allowed. */
export class DeflateTooLong extends DeflateInvalid {}
