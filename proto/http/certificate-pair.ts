import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { Fault } from '../contract/fault.ts';

/** A certificate with its chain, and its private key, as PEM. */
export type CertificateAndKey = { cert: string; key: string };

/** Paths of their files. */
export type PairFiles = { certificateFile: string; keyFile: string };
type Owner = 'tls' | 'parent' | 'audit.syslog';

/**
 * Reads the files without checking them.
 * @param owner the mapping of the configuration that names them
 * @throws Fault `config-invalid` if one cannot be read
 */
export async function readPair(
  { certificateFile, keyFile }: PairFiles,
  owner: Owner = 'tls',
): Promise<CertificateAndKey> {
  const [cert, key] = await Promise.all([
    readFor(`${owner}.certificateFile`, certificateFile),
    readFor(`${owner}.keyFile`, keyFile),
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
 * Checks whether connections can be made with the pair. Its files are not written at the same moment: each must be
 * complete, and the key must be the one of the certificate.
 * @returns when the certificate ends
 * @throws Fault `config-invalid`, which names the field and the remedy
 */
export function checkPair(
  { cert, key }: CertificateAndKey,
  { certificateFile, keyFile }: PairFiles,
  owner: Owner = 'tls',
): Date {
  const bad = (field: string, path: string, why: string) =>
    new Fault('config-invalid', `${field} "${path}" ${why}`);
  const begun = cert.split('-----BEGIN CERTIFICATE-----').length - 1;
  const ended = cert.split('-----END CERTIFICATE-----').length - 1;
  if (begun === 0 || begun !== ended) {
    const what = begun === 0 ? 'contains no certificate' : 'is incomplete';
    throw bad(
      `${owner}.certificateFile`,
      certificateFile,
      `${what}: write the certificate and its chain, as PEM`,
    );
  }
  const certificate = parsed(
    () => new X509Certificate(cert),
    () => bad(`${owner}.certificateFile`, certificateFile, 'is damaged: write the certificate again, as PEM'),
  );
  const privateKey = parsed(
    () => createPrivateKey(key),
    () => {
      const locked = /ENCRYPTED/.test(key);
      const why = locked
        ? 'needs a passphrase: store the key without one'
        : 'contains no private key: write it as PEM';
      return bad(`${owner}.keyFile`, keyFile, why);
    },
  );
  if (!certificate.checkPrivateKey(privateKey)) {
    throw bad(
      `${owner}.keyFile`,
      keyFile,
      `does not match the first certificate in "${certificateFile}": write a matching pair, its own certificate first`,
    );
  }
  // Everything else that OpenSSL rejects: a key that is too short, a damaged certificate in the chain.
  parsed(
    () => createSecureContext({ minVersion: 'TLSv1.2', cert, key }),
    (why) => bad(`${owner}.certificateFile`, certificateFile, `can't be used with its key: ${why}`),
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
