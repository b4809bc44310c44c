import { join } from 'node:path';
import type { UpOptions } from './options.ts';

/**
 * What the environment of a deployment written for another connected registry says, as options of `terrace up`; those
 * of the command line win over it. Certificates count only when they are there.
 *
 * ACR_REGISTRY_LOGIN_SERVER         the only host that requests may name
 * ACR_REGISTRY_CERTIFICATE_VOLUME   folder with tls.crt and tls.key
 * ACR_REGISTRY_DATA_VOLUME          the data folder, see data-option.ts
 */
export function environmentOptions(
  env: NodeJS.ProcessEnv,
  readable: (path: string) => boolean,
): Partial<UpOptions> {
  const { ACR_REGISTRY_LOGIN_SERVER: loginServer, ACR_REGISTRY_CERTIFICATE_VOLUME: folder } = env;
  const certificate = folder && join(folder, 'tls.crt');
  return {
    ...(loginServer && { loginServer }),
    ...(certificate &&
      readable(certificate) && { tlsCertificate: certificate, tlsKey: join(folder, 'tls.key') }),
  };
}
