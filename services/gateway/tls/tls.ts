import type { SecureContextOptions } from 'node:tls';
import { Fault } from '#proto/contract/fault.ts';
import type { Tls } from '#proto/document/configuration.ts';

/**
 * TLS of the gateway: its certificate, and the renewal of that while the gateway listens.
 *
 * The environment (`tlsOf`) or the configuration names the files, or the certificates are issued by the workload API of
 * IoT Edge's daemon (`workload-tls.ts`). A pair is read and checked before the gateway listens. Files are then polled,
 * and a changed pair is installed once it is complete and valid (`renew-from-files.ts`); issued certificates are
 * renewed after two thirds of their lifetime (`issued-certificates.ts`). Open connections stay, and a failed renewal
 * leaves the old certificate in use. `held-certificate.ts` knows when that ends.
 */

/** TLS 1.2 or newer (RFC 9325, 3.1.1), and HTTP/1.1 in it. */
export const secureOptions: SecureContextOptions & { ALPNProtocols: string[] } = {
  minVersion: 'TLSv1.2',
  ALPNProtocols: ['http/1.1'],
};

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
