import { isAbsolute } from 'node:path';
import { matches } from '../../contract/schema-check.ts';
import { errorsOf, innermostErrors } from '../../contract/schema-errors.ts';
import { isRepositoryPattern } from '../../oci/repository-pattern.ts';
import { Document } from '../document.ts';
import type { DocumentFiles } from '../files.ts';
import { isNetwork } from '../networks.ts';
import { bytesOf, durationOf } from '../quantities.ts';
import { declaredComplaints } from './accounts.ts';
import { archiveComplaints } from './archive.ts';
import { auditComplaints } from './audit.ts';
import { runsEver } from './cron.ts';
import { deltaComplaints } from './delta.ts';
import { exchangeComplaints } from './exchanges.ts';
import { linkComplaints } from './link.ts';
import { notificationComplaints } from './notifications.ts';
import {
  misplacedRemedy,
  nearFields,
  notReadable,
  notValid,
  quote,
  remedyOf,
  siblingFields,
} from './remedies.ts';
import { selectionComplaints } from './selection.ts';
import { entriesOf, wellFormedPart } from './well-formed.ts';

/**
 * Validation of a configuration document. Each complaint is one sentence that names the field and the remedy.
 *
 * `complaintsOf` first checks the form of the fields against the schema of `Document`. In all that is well-formed
 * (`well-formed.ts`), it checks what a schema can't express: parent, schedule and bandwidth (`link.ts`, `azure.ts`),
 * repositories (`selection.ts`), accounts (`accounts.ts`), notifications (`notifications.ts`), archives (`archive.ts`),
 * the audit (`audit.ts`), deltas (`delta.ts`), and the other fields here. `remedies.ts` finds the remedy of a field in
 * the schema. No complaint contains a password or a hash (`secrets.ts`).
 */

/** @returns no complaint if the fields are a `Document` that can be put in force */
export function complaintsOf(fields: object, files: DocumentFiles): string[] {
  const misformed = formComplaints(fields);
  const paths = [...misformed.keys()];
  const isReported = (complaint: string) =>
    paths.some((path) => complaint.startsWith(`${path} `) || complaint.startsWith(`${path}.`));
  const others = meaningComplaints(wellFormedPart(fields, paths), files);
  return [...misformed.values(), ...others.filter((complaint) => !isReported(complaint))];
}

/** Complaints by the path of the field. */
function formComplaints(fields: object): Map<string, string> {
  const complaints = new Map<string, string>();
  if (matches(Document, fields)) return complaints;
  for (const error of [...errorsOf(Document, fields)].flatMap(innermostErrors)) {
    const field = error.path.slice(1).replaceAll('/', '.');
    if (complaints.has(field)) continue;
    const remedy = remedyOf(field);
    if (remedy && error.value === undefined) complaints.set(field, `${field} is missing: ${remedy}`);
    else if (remedy) complaints.set(field, notValid(field, error.value));
    else if (misplacedRemedy(field)) complaints.set(field, `${field}: ${misplacedRemedy(field)}`);
    else complaints.set(field, `${field} is not a field: ${fieldRemedy(field)}`);
  }
  return complaints;
}

function fieldRemedy(field: string): string {
  const near = nearFields(field);
  return near.length > 0
    ? `did you mean ${near.join(' or ')}?`
    : `the fields are ${siblingFields(field).join(', ')}`;
}

/** Complaints that a schema can't express. */
function meaningComplaints(document: Document, files: DocumentFiles): string[] {
  const { listen, repositories = [], anonymousPull = [], trustedProxies = [] } = document;
  const { schedule, tls, reserve, garbageCollection: garbage = {}, scrub = {}, backup } = document;
  const complaints: string[] = [];
  const bad = (field: string, value: unknown) => complaints.push(notValid(field, value));
  const port = Number(listen?.slice(listen.lastIndexOf(':') + 1) ?? 1);
  if (port < 1 || port > 65_535)
    complaints.push(`listen ${quote(listen)} is not valid: use a port from 1 to 65535`);
  const parts = [
    linkComplaints(document, files),
    exchangeComplaints(document, files),
    selectionComplaints(repositories),
    declaredComplaints(document),
    notificationComplaints(document.notifications ?? {}, files),
    archiveComplaints(document.archive ?? {}, files),
    auditComplaints(document.audit ?? {}, files),
    deltaComplaints(document.delta ?? {}),
  ];
  for (const complaint of parts.flat()) complaints.push(complaint);
  for (const [, pattern] of entriesOf(anonymousPull))
    if (!isRepositoryPattern(pattern)) bad('anonymousPull', pattern);
  for (const [field, cron] of Object.entries({
    schedule,
    'garbageCollection.schedule': garbage.schedule,
    'scrub.schedule': scrub.schedule,
    'backup.schedule': backup?.schedule,
  })) {
    if (cron !== undefined && !runsEver(cron)) bad(field, cron);
  }
  for (const [field, amount] of Object.entries({
    reserve,
    'scrub.rate': scrub.rate,
    'backup.rate': backup?.rate,
  })) {
    if (typeof amount === 'string' && bytesOf(amount) === undefined) bad(field, amount);
  }
  for (const [field, rate] of Object.entries({ 'scrub.rate': scrub.rate, 'backup.rate': backup?.rate }))
    if (rate !== undefined && (bytesOf(String(rate)) ?? 1) < 1) bad(field, rate);
  if (backup && (!isAbsolute(backup.target) || backup.target.endsWith('.tar')))
    bad('backup.target', backup.target);
  for (const name of ['grace', 'uploads', 'transfers'] as const) {
    const text = garbage[name];
    if (text !== undefined && durationOf(text) === undefined) bad(`garbageCollection.${name}`, text);
  }
  for (const [, proxy] of entriesOf(trustedProxies)) if (!isNetwork(proxy)) bad('trustedProxies', proxy);
  for (const [name, path] of Object.entries(tls ?? {})) {
    if (!files.readable(path)) complaints.push(notReadable(`tls.${name}`, path));
  }
  return complaints;
}
