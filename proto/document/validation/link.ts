import { isAzure, loginServerOf } from '../azure.ts';
import type { Document } from '../document.ts';
import type { DocumentFiles } from '../files.ts';
import { isHostPattern, isNetwork } from '../networks.ts';
import type { LinkedParent } from '../parent.ts';
import { bitRateOf, durationOf } from '../quantities.ts';
import { azureComplaints } from './azure.ts';
import { notReadable, notValid, quote, remedyOf } from './remedies.ts';
import { entriesOf } from './well-formed.ts';

/** Complaints about the link: the parent, the schedule and window, the retention of events, and the bandwidth. */

/** In ms. */
const DAY = 86_400_000;
/** Min bandwidth in bytes/s: below it, a small request takes seconds. */
const MIN_RATE = 1_000;

/** Fields of the parent whose files hold certificates. */
const CERTIFICATES = ['caFile', 'certificateFile'];

export function linkComplaints(document: Document, files: DocumentFiles): string[] {
  const { parent, schedule, window, syncWindow, eventTtl, messageTtl } = document;
  const complaints: string[] = [];
  for (const complaint of parent ? parentComplaints(parent, files) : []) complaints.push(complaint);
  for (const [field, text] of Object.entries({ window, syncWindow })) {
    if (text !== undefined && !isBetween(text, 60_000, 7 * DAY)) complaints.push(notValid(field, text));
  }
  if ((window ?? syncWindow) !== undefined && schedule === undefined) {
    complaints.push('schedule is missing: write when the window opens, such as "0 2 * * *"');
  }
  for (const [field, text] of Object.entries({ eventTtl, messageTtl })) {
    if (text !== undefined && !isBetween(text, DAY, 90 * DAY)) complaints.push(notValid(field, text));
  }
  return [...complaints, ...bandwidthComplaints(document.bandwidth)];
}

function parentComplaints(document: NonNullable<Document['parent']>, files: DocumentFiles): string[] {
  const { url, folder } = document;
  if (url !== undefined) return linkedParentComplaints({ ...document, url }, files);
  return folder === undefined ? [`parent.url is missing: ${remedyOf('parent.url')}`] : [];
}

function linkedParentComplaints(parent: LinkedParent, files: DocumentFiles): string[] {
  const { url, username, passwordFile, caFile, certificateFile, keyFile, allowedHosts = [] } = parent;
  const complaints: string[] = [];
  if (!URL.canParse(url)) complaints.push(notValid('parent.url', url));
  else if (url.includes('@')) {
    complaints.push(
      'parent.url contains credentials: use the fields parent.username and parent.passwordFile',
    );
  }
  if (username !== undefined && passwordFile === undefined) {
    complaints.push('parent.passwordFile is missing: name a file that holds the password of parent.username');
  }
  if (passwordFile !== undefined && username === undefined) {
    complaints.push('parent.username is missing: name the account of the password in parent.passwordFile');
  }
  if (certificateFile !== undefined && keyFile === undefined) {
    complaints.push(
      'parent.keyFile is missing: name a PEM file with the private key of parent.certificateFile',
    );
  }
  if (keyFile !== undefined && certificateFile === undefined) {
    complaints.push(
      'parent.certificateFile is missing: name a PEM file with the client certificate of parent.keyFile',
    );
  }
  if (certificateFile !== undefined && url.startsWith('http://')) {
    complaints.push(
      'parent.certificateFile is of no use without TLS: write parent.url with https, or remove the certificate',
    );
  }
  for (const complaint of pathComplaints(parent)) complaints.push(complaint);
  for (const complaint of azureComplaints(parent, files)) complaints.push(complaint);
  for (const [at, host] of entriesOf(allowedHosts)) {
    if (!isHostPattern(host) && !isNetwork(host))
      complaints.push(notValid(`parent.allowedHosts.${at}`, host));
  }
  for (const [name, path] of Object.entries({ passwordFile, caFile, certificateFile, keyFile })) {
    if (path !== undefined && !files.readable(path)) complaints.push(notReadable(`parent.${name}`, path));
    else if (path !== undefined && CERTIFICATES.includes(name) && files.holdsCertificate?.(path) === false) {
      complaints.push(`parent.${name} ${quote(path)} contains no certificate: write one to it, as PEM`);
    }
  }
  return complaints;
}

function pathComplaints(parent: LinkedParent): string[] {
  if (!URL.canParse(parent.url)) return [];
  const { origin, pathname } = new URL(parent.url);
  const [, below] = /\/v2(?:\/(.*?))?\/?$/i.exec(pathname) ?? [];
  if (below) {
    return [
      `parent.url ${quote(parent.url)} has a path below /v2: what stands there is the beginning of the names of repositories; leave /v2/${below} out, and select ${below}/*`,
    ];
  }
  if (/\/v2\/?$/i.test(pathname))
    return [`parent.url ${quote(parent.url)} ends in /v2, which is added to it: leave /v2 out`];
  return isAzure({ ...parent, url: loginServerOf(parent.url) }) && pathname !== '/'
    ? [
        `parent.url ${quote(parent.url)} has a path, which no registry of Azure has: write ${loginServerOf(origin)}`,
      ]
    : [];
}

function bandwidthComplaints(bandwidth: Document['bandwidth'] = []): string[] {
  const isRate = (text: string) => (bitRateOf(text) ?? 0) >= MIN_RATE;
  if (typeof bandwidth === 'string') return isRate(bandwidth) ? [] : [notValid('bandwidth', bandwidth)];
  return bandwidth.flatMap(({ from, to, limit }, at) => {
    const field = `bandwidth.${at}`;
    const complaints = isRate(limit) ? [] : [notValid(`${field}.limit`, limit)];
    if ((from === undefined) !== (to === undefined)) {
      const missing = from === undefined ? 'from' : 'to';
      complaints.push(`${field}.${missing} is missing: write both from and to, or neither for the whole day`);
    } else if (from !== undefined && from === to) {
      complaints.push(`${field}.to ${quote(to)} is the same as from: remove both for the whole day`);
    }
    return complaints;
  });
}

function isBetween(text: string, minMs: number, maxMs: number): boolean {
  const ms = durationOf(text);
  return ms !== undefined && ms >= minMs && ms <= maxMs;
}
