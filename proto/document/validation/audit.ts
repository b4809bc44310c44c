import { isIPv6 } from 'node:net';
import { type AuditDocument, MAX_SPOOL, MIN_SPOOL, splitHost } from '../audit.ts';
import type { DocumentFiles } from '../files.ts';
import { bytesOf } from '../quantities.ts';
import { notReadable, notValid, quote } from './remedies.ts';

/** Complaints about the field `audit`. */

const FIELD = 'audit.syslog';
const CERTIFICATES = ['caFile', 'certificateFile'];

/** @param document fields that are not well-formed are absent */
export function auditComplaints({ syslog }: AuditDocument, files: DocumentFiles): string[] {
  if (!syslog) return [];
  const { host, spool }: Partial<typeof syslog> = syslog;
  const complaints: string[] = [];
  if (host !== undefined) for (const complaint of hostComplaints(host)) complaints.push(complaint);
  if (spool !== undefined) {
    const bytes = typeof spool === 'number' ? spool : bytesOf(spool);
    if (bytes === undefined || bytes < MIN_SPOOL || bytes > MAX_SPOOL) {
      complaints.push(notValid(`${FIELD}.spool`, spool));
    }
  }
  return [...complaints, ...tlsComplaints(syslog), ...fileComplaints(syslog, files)];
}

type Syslog = NonNullable<AuditDocument['syslog']>;

function hostComplaints(text: string): string[] {
  const { host, port } = splitHost(text, 1);
  if (port < 1 || port > 65_535) {
    return [`${FIELD}.host ${quote(text)} is not valid: use a port from 1 to 65535`];
  }
  return text.startsWith('[') && !isIPv6(host) ? [notValid(`${FIELD}.host`, text)] : [];
}

function tlsComplaints({ tls, caFile, certificateFile, keyFile }: Syslog): string[] {
  const complaints: string[] = [];
  if (tls === false) {
    for (const [name, path] of Object.entries({ caFile, certificateFile, keyFile })) {
      if (path === undefined) continue;
      complaints.push(`${FIELD}.${name} is of no use without TLS: remove it, or remove ${FIELD}.tls`);
    }
  }
  if (certificateFile !== undefined && keyFile === undefined) {
    complaints.push(
      `${FIELD}.keyFile is missing: name a PEM file with the private key of ${FIELD}.certificateFile`,
    );
  }
  if (keyFile !== undefined && certificateFile === undefined) {
    complaints.push(
      `${FIELD}.certificateFile is missing: name a PEM file with the client certificate of ${FIELD}.keyFile`,
    );
  }
  return complaints;
}

function fileComplaints({ caFile, certificateFile, keyFile }: Syslog, files: DocumentFiles): string[] {
  return Object.entries({ caFile, certificateFile, keyFile }).flatMap(([name, path]) => {
    if (path === undefined) return [];
    if (!files.readable(path)) return [notReadable(`${FIELD}.${name}`, path)];
    return CERTIFICATES.includes(name) && files.holdsCertificate?.(path) === false
      ? [`${FIELD}.${name} ${quote(path)} contains no certificate: write one to it, as PEM`]
      : [];
  });
}
