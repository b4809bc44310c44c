import { files } from '#proto/document/files.ts';
import { certificateDates, dayOf } from '../verdict/certificate-dates.ts';
import { type Finding, fault, type Verdict, warning } from '../verdict/check.ts';
import { type ChainEntry, type Handshake, handshakeWith, hostOf } from './connection.ts';
import type { ParentFacts, ParentTarget } from './parent-facts.ts';
import { openTunnel } from './parent-http.ts';

/** The certificates of the parent: who signed them, their names and dates. */

/** Products that intercept TLS, by the names in the certificates that they issue. */
const INTERCEPTORS =
  /zscaler|forti(?:net|gate)|palo alto|blue ?coat|netskope|cisco umbrella|sophos|barracuda|check ?point|forcepoint|mitmproxy|squid|watchguard|sonicwall|cato networks|kaspersky|\beset\b/i;

/** @param isClockWrong what the dates of certificates say then is no fault of theirs */
export async function checkTls(
  { url, ca, caFile }: ParentTarget,
  { proxy }: ParentFacts,
  signal: AbortSignal,
  isClockWrong: boolean,
): Promise<Verdict> {
  if (url.protocol !== 'https:') return tlsVerdict(hostOf(url), undefined, caFile);
  // The check `files` says why.
  if (caFile !== undefined && !files.readable(caFile))
    return { unchecked: 'parent.caFile can not be read here' };
  const tunnel = proxy && (await openTunnel(proxy, url, signal));
  const seen = await handshakeWith(url, { ca, socket: tunnel?.socket, signal });
  signal.throwIfAborted();
  if (isClockWrong && 'invalid' in seen && /EXPIRED|NOT_YET/.test(seen.invalid ?? '')) {
    return { unchecked: 'clock has a fault' };
  }
  return tlsVerdict(hostOf(url), seen, caFile);
}

/** @param seen undefined without TLS. Pure. */
export function tlsVerdict(
  host: string,
  seen: Handshake | undefined,
  caFile: string | undefined,
  now = Date.now(),
): Verdict {
  if (!seen) {
    const isLocal = /^(?:localhost|127\..+|::1)$/.test(host);
    const what =
      'the parent is reached without TLS: passwords and content can be read and changed on the way';
    return {
      about: 'plain HTTP',
      ...(!isLocal && {
        findings: [warning(what, 'give the parent a certificate, and write parent.url with https')],
      }),
    };
  }
  if ('error' in seen) {
    const what = `${host} ends the TLS handshake (${seen.error})`;
    const remedy = /WRONG_VERSION|ERR_SSL_PACKET|HTTP_REQUEST/.test(seen.error)
      ? 'the port speaks no TLS: correct the port in parent.url, or write it with http'
      : 'compare the TLS versions of both sides: this one needs 1.2 or later; a firewall may end connections, too';
    return { about: '', findings: [fault(what, remedy)] };
  }
  const { chain, invalid, protocol } = seen;
  const [own] = chain;
  const about = own
    ? `${protocol}; certificate of ${own.subject}, signed by ${own.issuer}, ends on ${dayOf(own.to)}`
    : protocol;
  return { about, findings: findingsOf(host, invalid, chain, caFile, now) };
}

function findingsOf(
  host: string,
  invalid: string | undefined,
  chain: readonly ChainEntry[],
  caFile: string | undefined,
  now: number,
): Finding[] {
  const dates = chain.flatMap((entry, index) => {
    const owner =
      index === 0 ? `the certificate of ${host}` : `the certificate of its authority ${entry.subject}`;
    const remedy =
      index === 0 ? 'renew it at the parent' : 'renew the chain at the parent, and the file of parent.caFile';
    return certificateDates(owner, entry, remedy, now);
  });
  if (invalid === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const what = `the certificate of the parent is for another name than ${host}: ${chain[0]?.subject ?? 'none'}`;
    return [
      fault(what, 'write one of its names in parent.url, or let the parent use a certificate for this name'),
      ...dates,
    ];
  }
  const isDated = dates.some(({ severity }) => severity === 'fault');
  return invalid === undefined || (isDated && /EXPIRED|NOT_YET/.test(invalid))
    ? dates
    : [fault(...trustCause(invalid, chain, caFile)), ...dates];
}

/** Why the certificate is not trusted, and the remedy. */
function trustCause(
  invalid: string,
  chain: readonly ChainEntry[],
  caFile: string | undefined,
): [string, string] {
  const last = chain.at(-1);
  const root = last?.issuer ?? 'an unknown authority';
  const where = caFile ? `to ${caFile} (parent.caFile)` : 'to a PEM file, and name it in parent.caFile';
  const interceptor = chain.map(({ issuer }) => issuer).find((issuer) => INTERCEPTORS.test(issuer));
  if (interceptor) {
    return [
      `TLS to the parent is intercepted: ${interceptor} signed the certificate`,
      `let it pass the parent as it is, or add its authority ${where}`,
    ];
  }
  switch (invalid) {
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      return [
        `the certificate ${last?.subject} of the parent is signed by itself, and not trusted`,
        `add it ${where}`,
      ];
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return [
        `the authority ${root} that signed the certificate of the parent is not known here, and the parent does not send its certificate`,
        `let the parent send all certificates between, if a public authority signed it; add a private one ${where}`,
      ];
    case 'SELF_SIGNED_CERT_IN_CHAIN':
      return [
        `the authority ${root} that signed the certificate of the parent is not trusted here`,
        `add the certificate of that private authority ${where}`,
      ];
    default:
      return [
        `the certificate of the parent is not valid (${invalid})`,
        `replace it at the parent, or add its authority ${where}`,
      ];
  }
}
