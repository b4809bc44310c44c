import { randomInt } from 'node:crypto';

/** Letters and digits only: a password stands in shells, URLs and YAML as it is, and never looks like an option. */
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
/** 62^43 is above 2^256. */
const LENGTH = 43;

export function newPassword(): string {
  return Array.from({ length: LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
}
