import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

/** scrypt (RFC 7914) with N = 2^14, r = 8, p = 1: 16 MiB and some 50 ms per attempt. */
const LOG_N = 14;
const R = 8;
const P = 1;
const derive = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt);

/** Format of `hashPassword`, with its cost only: the time that another cost takes would reveal the account. */
export const HASH_PATTERN = `^scrypt\\$${LOG_N}\\$${R}\\$${P}\\$[A-Za-z0-9_-]{22}\\$[A-Za-z0-9_-]{43}$`;

/** `scrypt$<log2 N>$<r>$<p>$<salt, base64url>$<hash, base64url>` */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const hash = await derive(password, salt, 32, { N: 2 ** LOG_N, r: R, p: P });
  return ['scrypt', LOG_N, R, P, salt.toString('base64url'), hash.toString('base64url')].join('$');
}

/** @param stored in the format of `hashPassword`; any other format matches nothing */
export async function verifyPassword(password: string, stored: string): Promise<boolean> {
  const [scheme, logN, r, p, salt = '', derived = ''] = stored.split('$');
  const expected = Buffer.from(derived, 'base64url');
  if (scheme !== 'scrypt' || expected.byteLength < 16) return false;
  const cost = { N: 2 ** Number(logN), r: Number(r), p: Number(p) };
  const options = { ...cost, maxmem: 256 * cost.N * cost.r };
  const actual = await derive(password, Buffer.from(salt, 'base64url'), expected.byteLength, options);
  return timingSafeEqual(actual, expected);
}

/** Min length of a password, in characters. A generated one has 43. */
export const MIN_PASSWORD = 12;
const MAX_PASSWORD = 256;

/** The password in the text of a file or pipe, without the BOM and the line ends that editors and shells add. */
export function passwordIn(text: string): string {
  let end = text.length;
  while (end > 0 && '\r\n'.includes(text[end - 1] as string)) end -= 1;
  return text.slice(text.startsWith('\uFEFF') ? 1 : 0, end);
}

/** Why this can't be a password, in words that reveal nothing of it. Undefined if it can. */
export function passwordComplaint(password: string): string | undefined {
  if (password === '') return 'is empty: write a password';
  if (password.length < MIN_PASSWORD) {
    return `has ${password.length} characters: use at least ${MIN_PASSWORD}`;
  }
  if (password.length > MAX_PASSWORD) return `has more than ${MAX_PASSWORD} characters: use a shorter one`;
  if (/\p{Cc}/u.test(password)) return 'has more than one line: write only the password';
  return undefined;
}
