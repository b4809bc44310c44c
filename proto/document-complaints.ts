import { isIP } from 'node:net';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { Cron } from 'croner';
import { Document } from './configuration.ts';
import { isRepository } from './names.ts';
import { bytesOf, durationOf } from './quantities.ts';

/** What is wrong with a configuration document: each complaint is one sentence that names the field and the remedy. */

const form = TypeCompiler.Compile(Document);

const remedies: Record<string, string> = {
  name: 'use lower-case letters, digits and - between them, 63 characters at most',
  listen: 'write host:port, such as 127.0.0.1:5000',
  gateways: 'write a whole number from 1 to 16',
  loginServer: 'write host or host:port, as clients name this registry',
  tls: 'write a mapping with the fields certificateFile and keyFile',
  'tls.certificateFile': 'write the path of a PEM file with the certificate and its chain',
  'tls.keyFile': 'write the path of a PEM file with the private key',
  trustedProxies: 'write a list of addresses, such as 10.0.0.7, or networks, such as 10.0.0.0/8',
  challenge: 'write Bearer or Basic',
  anonymousPull: 'write a list of repository names, prefix/* or *',
  mode: 'write ReadWrite or ReadOnly',
  parent: 'write a mapping with the fields url, username and passwordFile',
  'parent.url': 'write https://host or http://host, with a port where it needs one and no path',
  'parent.username': 'write a text',
  'parent.passwordFile': 'write the path of a file that holds the password',
  repositories: 'write a list of repository names, prefix/* or *',
  schedule: 'write cron with five fields (UTC), such as "*/15 * * * *"',
  conflict: 'write parent-wins or layer-wins',
  reserve: 'write bytes, such as 512MiB or 2GB',
  garbageCollection: 'write a mapping with the fields enabled, schedule, grace, uploads and transfers',
  'garbageCollection.enabled': 'write true or false',
  'garbageCollection.schedule': 'write cron with five fields (UTC), such as "0 0 * * *"',
  'garbageCollection.grace': 'write an ISO 8601 duration, such as PT1H',
  'garbageCollection.uploads': 'write an ISO 8601 duration, such as P1D',
  'garbageCollection.transfers': 'write an ISO 8601 duration, such as P30D',
  scrub: 'write a mapping with the fields schedule and rate',
  'scrub.schedule': 'write cron with five fields (UTC), such as "0 3 * * 0"',
  'scrub.rate': 'write bytes a second, such as 20MB',
  syncers: 'write a whole number from 1 to 64',
  connections: 'write a whole number from 1 to 64',
  logLevel: 'write debug, info, warn or error',
};

/** None where the fields are a `Document` that can be put in force. */
export function complaintsOf(fields: object, readable: (path: string) => boolean): string[] {
  const misformed = formComplaints(fields);
  return misformed.length > 0 ? misformed : meaningComplaints(fields as Document, readable);
}

function formComplaints(fields: object): string[] {
  const complaints = new Map<string, string>();
  for (const error of form.Errors(fields)) {
    const field = error.path.slice(1).replaceAll('/', '.');
    if (complaints.has(field)) continue;
    const remedy = remedies[field] ?? remedies[field.replace(/\.\d+$/, '')];
    if (remedy && error.value === undefined) complaints.set(field, `${field} is missing: ${remedy}`);
    else if (remedy) complaints.set(field, `${field} ${quote(error.value)} is not valid: ${remedy}`);
    else {
      const owner = field.slice(0, field.lastIndexOf('.') + 1);
      const fieldsThere = Object.keys(remedies).filter((name) =>
        owner ? name.startsWith(owner) : !name.includes('.'),
      );
      complaints.set(field, `${field} is not a field: the fields are ${fieldsThere.join(', ')}`);
    }
  }
  return [...complaints.values()];
}

/** What a schema can't say. */
function meaningComplaints(document: Document, readable: (path: string) => boolean): string[] {
  const { listen, parent, repositories = [], anonymousPull = [], trustedProxies = [] } = document;
  const { schedule, tls, reserve, garbageCollection: garbage = {}, scrub = {} } = document;
  const complaints: string[] = [];
  const port = Number(listen?.slice(listen.lastIndexOf(':') + 1) ?? 1);
  if (port < 1 || port > 65_535)
    complaints.push(`listen ${quote(listen)} is not valid: ports go from 1 to 65535`);
  if (parent) complaints.push(...parentComplaints(parent, readable));
  const bad = (field: string, value: unknown) =>
    complaints.push(`${field} ${quote(value)} is not valid: ${remedies[field]}`);
  for (const [field, patterns] of Object.entries({ repositories, anonymousPull })) {
    for (const one of patterns) {
      const pattern = typeof one === 'string' ? one : one.name;
      if (pattern !== '*' && !isRepository(pattern.replace(/\/\*$/, ''))) bad(field, pattern);
    }
  }
  for (const [field, cron] of Object.entries({
    schedule,
    'garbageCollection.schedule': garbage.schedule,
    'scrub.schedule': scrub.schedule,
  })) {
    if (cron !== undefined && !runsEver(cron)) bad(field, cron);
  }
  for (const [field, amount] of Object.entries({ reserve, 'scrub.rate': scrub.rate })) {
    if (typeof amount === 'string' && bytesOf(amount) === undefined) bad(field, amount);
  }
  if (scrub.rate !== undefined && (bytesOf(String(scrub.rate)) ?? 1) < 1) bad('scrub.rate', scrub.rate);
  for (const name of ['grace', 'uploads', 'transfers'] as const) {
    const text = garbage[name];
    if (text !== undefined && durationOf(text) === undefined) bad(`garbageCollection.${name}`, text);
  }
  for (const proxy of trustedProxies) if (!isNetwork(proxy)) bad('trustedProxies', proxy);
  for (const [name, path] of Object.entries(tls ?? {})) {
    if (!readable(path)) {
      complaints.push(`tls.${name} ${quote(path)} can't be read: make that file, or name another one`);
    }
  }
  return complaints;
}

function parentComplaints(
  parent: NonNullable<Document['parent']>,
  readable: (path: string) => boolean,
): string[] {
  const { url, username, passwordFile } = parent;
  const complaints: string[] = [];
  if (!URL.canParse(url)) complaints.push(`parent.url ${quote(url)} is not valid: ${remedies['parent.url']}`);
  else if (url.includes('@')) {
    complaints.push('parent.url holds credentials: use the fields parent.username and parent.passwordFile');
  }
  if (username !== undefined && passwordFile === undefined) {
    complaints.push('parent.passwordFile is missing: name a file that holds the password of parent.username');
  }
  if (passwordFile !== undefined) {
    if (username === undefined) {
      complaints.push('parent.username is missing: say whose password parent.passwordFile holds');
    }
    if (!readable(passwordFile)) {
      complaints.push(
        `parent.passwordFile ${quote(passwordFile)} can't be read: make that file, or name another one`,
      );
    }
  }
  return complaints;
}

/** An address, or a network as `address/bits`. */
function isNetwork(text: string): boolean {
  const [, address = '', bits] = /^([^/%]+)(?:\/(.+))?$/.exec(text) ?? [];
  const version = isIP(address);
  return (
    version > 0 &&
    (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128)))
  );
}

function runsEver(schedule: string): boolean {
  if (schedule.trim().split(/\s+/).length !== 5) return false;
  try {
    return new Cron(schedule, { paused: true, timezone: 'UTC' }).nextRun() !== null;
  } catch {
    return false;
  }
}

const quote = (value: unknown) => {
  const text = JSON.stringify(value) ?? 'undefined';
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
};
