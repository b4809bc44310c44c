import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { Fault } from '#proto/contract/fault.ts';
import type { Tls } from '#proto/document/configuration.ts';

/**
 * TLS of the gateway: its certificate, and the renewal of that while the gateway listens.
 *
 * The environment (`tlsOf`) or the configuration names the files, or the certificates are issued by the workload API of
 * IoT Edge's daemon (`workload-tls.ts`). A pair is read and checked before the gateway listens. Files are then polled,
 * and a changed pair is installed once it is complete and valid (`renew-from-files.ts`); issued certificates are
 * renewed after two thirds of their lifetime (`issued-certificates.ts`). Open connections stay, and a failed renewal
 * leaves the old certificate in use.
 */

/** A certificate with its chain, and its private key, as PEM. */
export type CertificateAndKey = { cert: string; key: string };

/** TLS 1.2 or newer (RFC 9325, 3.1.1), and HTTP/1.1 in it. */
export const secureOptions: SecureContextOptions & { ALPNProtocols: string[] } = {
  minVersion: 'TLSv1.2',
  ALPNProtocols: ['http/1.1'],
};

/** Reads the files without checking them. @throws Fault `config-invalid` if one cannot be read */
export async function readPair({ certificateFile, keyFile }: Tls): Promise<CertificateAndKey> {
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
 * Checks whether clients can be served with the pair. Its files are not written at the same moment: each must be
 * complete, and the key must be the one of the certificate.
 * @returns when the certificate ends
 * @throws Fault `config-invalid`, which names the field and the remedy
 */
export function checkPair({ cert, key }: CertificateAndKey, { certificateFile, keyFile }: Tls): Date {
  const bad = (field: string, path: string, why: string) =>
    new Fault('config-invalid', `${field} "${path}" ${why}`);
  const begun = cert.split('-----BEGIN CERTIFICATE-----').length - 1;
  const ended = cert.split('-----END CERTIFICATE-----').length - 1;
  if (begun === 0 || begun !== ended) {
    const what = begun === 0 ? 'contains no certificate' : 'is incomplete';
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
      const why = locked
        ? 'needs a passphrase: store the key without one'
        : 'contains no private key: write it as PEM';
      return bad('tls.keyFile', keyFile, why);
    },
  );
  if (!certificate.checkPrivateKey(privateKey)) {
    throw bad(
      'tls.keyFile',
      keyFile,
      `does not match the first certificate in "${certificateFile}": write a matching pair, the server's own certificate first`,
    );
  }
  // Everything else that OpenSSL rejects: a key that is too short, a damaged certificate in the chain.
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

/**
 * The TLS files of the environment.
 * @returns the files, or none if both variables are empty; `undefined` if neither is set and the configuration decides
 * @throws Fault `config-invalid`
 */
export function tlsOf(env: NodeJS.ProcessEnv): { files: Tls | undefined } | undefined {
  const { TERRACE_TLS_CERTIFICATE: certificateFile, TERRACE_TLS_KEY: keyFile } = env;
  if (certificateFile === undefined && keyFile === undefined) return undefined;
  if (certificateFile && keyFile) return { files: { certificateFile, keyFile } };
  if (!certificateFile && !keyFile) return { files: undefined };
  throw new Fault(
    'config-invalid',
    'only one of TERRACE_TLS_CERTIFICATE and TERRACE_TLS_KEY is set: set both, or neither',
  );
}
