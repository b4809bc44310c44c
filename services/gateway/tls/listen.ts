import { Fault } from '#proto/contract/fault.ts';
import type { Tls } from '#proto/document/configuration.ts';

/** Listen address and TLS files as the environment sets them. */

/** @throws Fault `config-invalid` */
export function parseListen(listen: string): { host: string; port: number } {
  const colon = listen.lastIndexOf(':');
  const port = Number(listen.slice(colon + 1));
  const host = listen.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  if (colon < 1 || !Number.isInteger(port) || port > 65_535) {
    throw new Fault('config-invalid', `cannot listen on ${listen}: write host:port, as in 127.0.0.1:5000`);
  }
  return { host, port };
}

/**
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

/** Why it cannot listen there, with the remedy. */
export function whyNot({ code, message }: NodeJS.ErrnoException, listen: string): string {
  if (code === 'EADDRINUSE') {
    return `cannot listen on ${listen}: the address is in use; stop the other process, or choose another address`;
  }
  if (code === 'EACCES') return `cannot listen on ${listen}: permission denied; choose a port above 1023`;
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return `cannot listen on ${listen}: this machine has no such address`;
  }
  return message;
}
