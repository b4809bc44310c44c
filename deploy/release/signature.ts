import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** Signatures with an Ed25519 key, in forms that openssl, cosign and in-toto verify. */

/** @throws Error if the file has no such key */
export function readKey(file: string): KeyObject {
  const key = createPrivateKey(readFileSync(file));
  if (key.asymmetricKeyType !== 'ed25519') {
    throw new Error(
      `${file} is no Ed25519 key: make one with "openssl genpkey -algorithm ed25519 -out ${file}"`,
    );
  }
  return key;
}

export const publicKeyOf = (key: KeyObject): string =>
  createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString();

export const signatureOf = (key: KeyObject, bytes: Uint8Array): Buffer => sign(null, bytes, key);

/** An envelope of a signed document (DSSE 1.0). */
export function envelopeOf(key: KeyObject, payloadType: string, payload: Uint8Array): object {
  const encoded = Buffer.concat([
    Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${payload.byteLength} `),
    payload,
  ]);
  return {
    payloadType,
    payload: Buffer.from(payload).toString('base64'),
    signatures: [{ sig: signatureOf(key, encoded).toString('base64') }],
  };
}

/** What cosign signs of an image ("simple signing"). */
export const imageClaim = (digest: string): Buffer =>
  Buffer.from(
    JSON.stringify({
      critical: {
        identity: { 'docker-reference': '' },
        image: { 'docker-manifest-digest': digest },
        type: 'cosign container image signature',
      },
      optional: null,
    }),
  );
