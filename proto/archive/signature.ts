import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { Fault } from '../contract/fault.ts';

/**
 * Detached signatures of lists, as base64: Ed25519, or ECDSA with P-256 and SHA-256. The latter is what `cosign
 * verify-blob --key` and `openssl dgst -sha256 -verify` check.
 */

/** Max size of a file with a key or a signature, in bytes. */
export const MAX_KEY_BYTES = 64 * 1024;

/** @param pem private key, PKCS #8 @throws Fault `archive-invalid` if it is not of a supported kind */
export function signatureOf(bytes: Uint8Array, pem: string): string {
  const key = keyOf(() => createPrivateKey(pem), 'private key');
  return `${sign(hashOf(key), bytes, key).toString('base64')}\n`;
}

/** @param pems public keys @returns whether one of them made the signature @throws Fault `archive-invalid` */
export function isSignedBy(bytes: Uint8Array, signature: string, pems: readonly string[]): boolean {
  const raw = Buffer.from(signature.trim(), 'base64');
  return pems.some((pem) => {
    const key = keyOf(() => createPublicKey(pem), 'public key');
    try {
      return verify(hashOf(key), bytes, key, raw);
    } catch {
      return false;
    }
  });
}

function keyOf(read: () => KeyObject, what: string): KeyObject {
  let key: KeyObject;
  try {
    key = read();
  } catch (cause) {
    throw new Fault('archive-invalid', `the ${what} can't be read: write it as PEM, without a passphrase`, {
      cause,
    });
  }
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === 'ed25519' || (type === 'ec' && details?.namedCurve === 'prime256v1')) return key;
  throw new Fault(
    'archive-invalid',
    `the ${what} is of a kind that is not supported: use Ed25519, or ECDSA with P-256`,
  );
}

const hashOf = ({ asymmetricKeyType }: KeyObject): 'sha256' | null =>
  asymmetricKeyType === 'ed25519' ? null : 'sha256';
