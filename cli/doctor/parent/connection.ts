import { once } from 'node:events';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, getCACertificates, type TLSSocket } from 'node:tls';
import type { CertificateAndKey } from '#proto/http/certificate-pair.ts';

/** Connections to the parent that are opened to be examined, without a request. */

/** Max time to connect to one address, in ms. */
export const CONNECT_MS = 5_000;

export const portOf = ({ port, protocol }: URL): number => Number(port) || (protocol === 'https:' ? 443 : 80);

/** The host without the brackets of an IPv6 address. */
export const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[(.*)\]$/, '$1');

/** What came of one connection. `code`: of the error. */
export type Attempt = { address: string; ms: number; code?: string };

export async function tryAddress(address: string, port: number, signal: AbortSignal): Promise<Attempt> {
  const startedAt = performance.now();
  const socket = connectTcp({ host: address, port, signal });
  socket.setTimeout(CONNECT_MS, () =>
    socket.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })),
  );
  const ms = () => performance.now() - startedAt;
  try {
    await once(socket, 'connect');
    return { address, ms: ms() };
  } catch (error) {
    return { address, ms: ms(), code: codeOf(error) };
  } finally {
    socket.destroy();
  }
}

/** What a TLS handshake shows. */
export type Handshake =
  | { error: string }
  | {
      /** Code of the first thing that makes the certificate invalid. */
      invalid?: string;
      protocol: string;
      /** As sent, its own first, with the root if it is known. */
      chain: ChainEntry[];
    };

export type ChainEntry = { subject: string; issuer: string; from: number; to: number };

/** Max certificates of a chain. */
const MAX_CHAIN = 10;

/** Makes a handshake and accepts any certificate: no request is sent. @param socket through a proxy */
export async function handshakeWith(
  url: URL,
  { ca, socket, signal }: { ca?: string | undefined; socket?: Socket | undefined; signal: AbortSignal },
): Promise<Handshake> {
  const host = hostOf(url);
  const target = socket ? { socket } : { host, port: portOf(url) };
  const tls = connectTls({
    ...target,
    ...(isIP(host) ? {} : { servername: host }),
    host,
    ca: trusted(ca),
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2',
  });
  tls.setTimeout(CONNECT_MS, () => tls.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })));
  const abort = () => tls.destroy();
  signal.addEventListener('abort', abort, { once: true });
  try {
    await once(tls, 'secureConnect');
    const invalid = tls.authorizationError as Error | string | null | undefined;
    const code = invalid instanceof Error ? codeOf(invalid) : invalid;
    return { ...(code && { invalid: String(code) }), protocol: tls.getProtocol() ?? '', chain: chainOf(tls) };
  } catch (error) {
    return { error: codeOf(error) };
  } finally {
    signal.removeEventListener('abort', abort);
    tls.on('error', () => {});
    tls.destroy();
  }
}

/** Max time for a server to refuse a client after the handshake, in ms. */
const ALERT_MS = 2_000;

/**
 * Makes a connection and waits for the alert by which the server refuses the client. With TLS 1.3 it comes after the
 * handshake, and a request that was sent meanwhile fails without a reason.
 * @returns its code; undefined if the connection stays open, or ends without one
 */
export async function alertOf(
  url: URL,
  {
    ca,
    pair,
    signal,
  }: { ca?: string | undefined; pair?: CertificateAndKey | undefined; signal: AbortSignal },
): Promise<string | undefined> {
  const host = hostOf(url);
  const name = isIP(host) ? {} : { servername: host };
  const tls = connectTls({
    host,
    port: portOf(url),
    ...name,
    ca: trusted(ca),
    rejectUnauthorized: false,
    ...pair,
  });
  const end = AbortSignal.any([signal, AbortSignal.timeout(ALERT_MS)]);
  try {
    await once(tls.resume(), 'close', { signal: end });
    return undefined;
  } catch (error) {
    return end.aborted ? undefined : codeOf(error);
  } finally {
    tls.on('error', () => {});
    tls.destroy();
  }
}

/** All certificates that are trusted for the parent. */
export const trusted = (ca: string | undefined): string[] => [
  ...getCACertificates('default'),
  ...(ca ? [ca] : []),
];

function chainOf(socket: TLSSocket): ChainEntry[] {
  const chain: ChainEntry[] = [];
  const seen = new Set<string>();
  let one = socket.getPeerCertificate(true);
  while (one?.raw && chain.length < MAX_CHAIN && !seen.has(one.fingerprint256)) {
    seen.add(one.fingerprint256);
    chain.push({
      subject: nameOf(one.subject),
      issuer: nameOf(one.issuer),
      from: Date.parse(one.valid_from),
      to: Date.parse(one.valid_to),
    });
    one = one.issuerCertificate;
  }
  return chain;
}

type DistinguishedName = Partial<Record<'CN' | 'O' | 'OU', string | string[]>>;

const nameOf = (name: DistinguishedName | undefined): string =>
  String([name?.CN ?? name?.O ?? name?.OU ?? 'no name'].flat()[0]);

/** The code of an error, also of one for several addresses. */
export function codeOf(error: unknown): string {
  const { code, errors, message, cause } = (error ?? {}) as NodeJS.ErrnoException & { errors?: unknown[] };
  if (code && code !== 'UND_ERR_SOCKET' && !code.startsWith('UND_ERR_PRX')) return code;
  if (errors?.length) return codeOf(errors[0]);
  return cause ? codeOf(cause) : (code ?? message ?? 'unknown');
}
