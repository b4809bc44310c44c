import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { Fault } from '#proto/contract/fault.ts';
import type { Tls } from '#proto/document/configuration.ts';

/** A certificate with its chain, and its private key, as PEM. */
export type Pair = { cert: string; key: string };

/** What clients must speak: TLS 1.2 or newer (RFC 9325, 3.1.1), and HTTP/1.1 in it. */
export const secureOptions: SecureContextOptions & { ALPNProtocols: string[] } = {
  minVersion: 'TLSv1.2',
  ALPNProtocols: ['http/1.1'],
};

/** What the files hold now, whatever it is. @throws Fault `config-invalid` where one can't be read */
export async function readPair({ certificateFile, keyFile }: Tls): Promise<Pair> {
  const [cert, key] = await Promise.all([
    readFor('tls.certificateFile', certificateFile),
    readFor('tls.keyFile', keyFile),
  ]);
  return { cert, key };
}

async function readFor(field: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code;
    throw new Fault(
      'config-invalid',
      `${field} "${path}" can't be read (${why}): make that file readable, or name another one`,
      { cause },
    );
  }
}

/**
 * Whether clients can be served with it. Files are not written at one moment: each must be whole, and the key must be
 * that of the certificate.
 * @returns when the certificate ends
 * @throws Fault `config-invalid`, which names the field and the remedy
 */
export function checkPair({ cert, key }: Pair, { certificateFile, keyFile }: Tls): Date {
  const bad = (field: string, path: string, why: string) =>
    new Fault('config-invalid', `${field} "${path}" ${why}`);
  const begun = cert.split('-----BEGIN CERTIFICATE-----').length - 1;
  const ended = cert.split('-----END CERTIFICATE-----').length - 1;
  if (begun === 0 || begun !== ended) {
    const what = begun === 0 ? 'holds no certificate' : 'is not whole';
    throw bad('tls.certificateFile', certificateFile, `${what}: write the certificate and its chain, as PEM`);
  }
  const certificate = parsed(
    () => new X509Certificate(cert),
    () => bad('tls.certificateFile', certificateFile, 'is damaged: write the certificate again, as PEM'),
  );
  const privateKey = parsed(
    () => createPrivateKey(key),
    () => {
      const locked = /ENCRYPTED/.test(key);
      const why = locked ? 'needs a passphrase: store the key without one' : 'holds no private key, as PEM';
      return bad('tls.keyFile', keyFile, why);
    },
  );
  if (!certificate.checkPrivateKey(privateKey)) {
    throw bad(
      'tls.keyFile',
      keyFile,
      `is not the key of the first certificate in "${certificateFile}": write both of one pair, the server's own certificate first`,
    );
  }
  // Whatever else OpenSSL finds: a key that is too short, a link of the chain that is damaged.
  parsed(
    () => createSecureContext({ ...secureOptions, cert, key }),
    (why) => bad('tls.certificateFile', certificateFile, `can't be used with its key: ${why}`),
  );
  return new Date(certificate.validTo);
}

function parsed<T>(parse: () => T, otherwise: (why: string) => Fault): T {
  try {
    return parse();
  } catch (cause) {
    throw otherwise((cause as Error).message);
  }
}
