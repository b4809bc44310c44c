import { clip } from '../../contract/clip.ts';
import { azureRemedies } from '../azure.ts';
import { declaredRemedies, isSecret, misplaced } from './account-remedies.ts';

/** Remedies by field, without the index of a list's entry. The keys are all fields of a document. */
export const remedies: Record<string, string> = {
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
  parent: 'write a mapping with the fields url, username, passwordFile, caFile, allowedHosts and azure',
  'parent.url': 'write https://host or http://host, with a port where it needs one and no path',
  'parent.username': 'write a text',
  'parent.passwordFile': 'write the path of a file that holds the password',
  'parent.caFile': 'write the path of a PEM file with the certificates that the parent may have its own from',
  'parent.allowedHosts':
    'write a list of host names, such as storage.plant.example or *.plant.example, addresses or networks, such as 10.0.0.0/8',
  ...azureRemedies,
  repositories:
    'write a list of repository names, prefix/* or *, or of mappings with the field name and more',
  'repositories.name': 'write the name of a repository, prefix/* or *',
  'repositories.tags': 'write a mapping with the fields match, regex, semver and latest',
  'repositories.tags.match': 'write a list of globs of whole tags, such as v1.*',
  'repositories.tags.regex':
    'write a regular expression of the whole tag in RE2 syntax (no lookaround, no backreference), such as v\\d+; to leave tags out, use match with !(…)',
  'repositories.tags.semver': 'write a range of versions, such as ">=1.2 <2"',
  'repositories.tags.latest': 'write a whole number, at least 1',
  'repositories.platforms': 'write a list of os/architecture or os/architecture/variant, such as linux/arm64',
  'repositories.referrers': 'write true, false, or a list of artifact types',
  'repositories.priority': 'write a whole number from -1000 to 1000',
  'repositories.conflict': 'write parent-wins or layer-wins',
  schedule: 'write cron with five fields (UTC), such as "*/15 * * * *"',
  syncWindow: 'write an ISO 8601 duration from PT1M to P7D, such as PT4H',
  window: 'write an ISO 8601 duration from PT1M to P7D, such as PT2H',
  messageTtl: 'write an ISO 8601 duration from P1D to P90D',
  eventTtl: 'write an ISO 8601 duration from P1D to P90D',
  bandwidth:
    'write bits a second, 8kbit or more, such as 2Mbit, or a list with the fields from, to and limit',
  'bandwidth.from': 'write a time of the day (UTC) in quotes, such as "06:00"',
  'bandwidth.to': 'write a time of the day (UTC) in quotes, such as "22:00"',
  'bandwidth.limit': 'write bits a second, 8kbit or more, such as 512kbit or 2Mbit',
  conflict: 'write parent-wins or layer-wins',
  notifications: 'write a mapping with the fields parent and webhooks',
  'notifications.parent':
    'write a list of patterns such as "*:*", "line/*:push", "app/web:1:*" or "app/web@sha256:…:delete"',
  'notifications.webhooks': 'write a list of up to 16 mappings with the field url and more',
  'notifications.webhooks.url': 'write http:// or https://, a host and a path, such as https://host/events',
  'notifications.webhooks.name': 'use letters, digits and . _ - between them, 63 characters at most',
  'notifications.webhooks.match':
    'write a list of patterns such as "*:*", "line/*:push", "app/web:1:*" or "app/web@sha256:…:delete"',
  'notifications.webhooks.secretFile': 'write the path of a file that holds the secret to sign with',
  'notifications.webhooks.caFile':
    'write the path of a PEM file with the certificates that the receiver may have its own from',
  'notifications.webhooks.below': 'write true or false',
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
  ...declaredRemedies,
  logLevel: 'write debug, info, warn, error or none, or Debug, Information, Warning, Error or None',
};

/** Key in `remedies`: `repositories.name` for `repositories.0.name`. */
const keyOf = (field: string): string => field.replace(/\.\d+(?=\.|$)/g, '');

export const remedyOf = (field: string): string | undefined => remedies[keyOf(field)];

/** @param why the cause, if it is known */
export const notValid = (field: string, value: unknown, why?: string): string =>
  `${field}${isSecret(field, value) ? '' : ` ${quote(value)}`} is not valid${why ? ` (${why})` : ''}: ${remedyOf(field)}`;

/** Remedy for a field that does not exist, but that people write. */
export const misplacedRemedy = (field: string): string | undefined => misplaced[keyOf(field)];

/** Fields of the mapping that contains this one. */
export function siblingFields(field: string): string[] {
  const key = keyOf(field);
  const owner = key.slice(0, key.lastIndexOf('.') + 1);
  return Object.keys(remedies).filter(
    (other) => other.startsWith(owner) && !other.slice(owner.length).includes('.'),
  );
}

export const quote = (value: unknown): string => {
  return clip(JSON.stringify(value) ?? 'undefined', 81);
};
