import { randomInt } from 'node:crypto';

/** Letters and digits only: needs no quoting in shells, URLs and YAML, and never looks like an option. */
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
/** Characters; 62^43 is above 2^256. */
const LENGTH = 43;

export function newPassword(): string {
  return Array.from({ length: LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
}
