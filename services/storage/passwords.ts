import { randomBytes, randomInt, type ScryptOptions, scrypt } from 'node:crypto';
import { promisify } from 'node:util';

/** Letters and digits only: a password stands in shells, URLs and YAML as it is, and never looks like an option. */
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
/** 62^43 is above 2^256. */
const LENGTH = 43;

export function newPassword(): string {
  return Array.from({ length: LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
}

/** scrypt (RFC 7914) with N = 2^14, r = 8, p = 1: 16 MiB and some 50 ms for each try. */
const LOG_N = 14;
const R = 8;
const P = 1;
const derive = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt);

/** `scrypt$<log2 N>$<r>$<p>$<salt, base64url>$<hash, base64url>` */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const hash = await derive(password, salt, 32, { N: 2 ** LOG_N, r: R, p: P });
  return ['scrypt', LOG_N, R, P, salt.toString('base64url'), hash.toString('base64url')].join('$');
}
