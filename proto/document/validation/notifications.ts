import type { DocumentFiles } from '../files.ts';
import { readNotificationPattern } from '../notification-patterns.ts';
import { type NotificationsDocument, type Webhook, webhookName } from '../notifications.ts';
import { notReadable, notValid, quote } from './remedies.ts';
import { entriesOf } from './well-formed.ts';

/** Complaints about the field `notifications`. */

export function notificationComplaints(
  { parent = [], webhooks = [] }: NotificationsDocument,
  files: DocumentFiles,
): string[] {
  const complaints = patternComplaints('notifications.parent', parent);
  const seen = new Set<string>();
  for (const [at, webhook] of entriesOf(webhooks)) {
    const field = `notifications.webhooks.${at}`;
    const urls = urlComplaint(`${field}.url`, webhook.url);
    const patterns = patternComplaints(`${field}.match`, webhook.match ?? []);
    for (const complaint of [...urls, ...patterns, ...fileComplaints(field, webhook, files)]) {
      complaints.push(complaint);
    }
    if (urls.length > 0) continue;
    const name = webhookName(webhook);
    if (seen.has(name)) {
      complaints.push(
        `${field}.name ${quote(name)} is already the name of another webhook: give each a different name`,
      );
    }
    seen.add(name);
  }
  return complaints;
}

const patternComplaints = (field: string, patterns: readonly string[]): string[] =>
  patterns.flatMap((text, at) => (readNotificationPattern(text) ? [] : [notValid(`${field}.${at}`, text)]));

function urlComplaint(field: string, url: string): string[] {
  if (!URL.canParse(url)) return [notValid(field, url)];
  const { username, password } = new URL(url);
  if (!username && !password) return [];
  return [`${field} contains credentials: remove them, and sign events with the secret in secretFile`];
}

function fileComplaints(field: string, { secretFile, caFile }: Webhook, files: DocumentFiles): string[] {
  const complaints: string[] = [];
  for (const [name, path] of Object.entries({ secretFile, caFile })) {
    if (path !== undefined && !files.readable(path)) complaints.push(notReadable(`${field}.${name}`, path));
  }
  if (caFile !== undefined && files.readable(caFile) && files.holdsCertificate?.(caFile) === false) {
    complaints.push(`${field}.caFile ${quote(caFile)} contains no certificate: write one to it, as PEM`);
  }
  return complaints;
}
