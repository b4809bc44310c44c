import { parseDocument } from 'yaml';
import { loginServerOf } from '../azure.ts';
import { type Configuration, type Document, logLevels, THIS_MACHINE } from '../configuration.ts';
import { type DeclaredAccount, declaredAccounts } from '../declared-accounts.ts';
import type { Files } from '../files.ts';
import { notificationsOf, placeFiles } from '../notifications.ts';
import { bitRateOf, bytesOf, durationOf, minuteOf } from '../quantities.ts';
import { complaintsOf } from '../validation/document.ts';
import { type Fields, isMapping, merge, type Overrides } from './merge.ts';

/**
 * From a configuration document as a person writes it to the configuration in force. Pure.
 *
 * `resolveDocument` parses the YAML, resolves relative paths, merges the document with other sources (`merge.ts`),
 * validates the result (`../validation/document.ts`) and applies the defaults. In order of precedence, the sources are:
 * command-line options (`overrides`), the document, the document `beneath` it, and the environment (`defaults`:
 * `module-environment.ts`, with the login from `connection-string.ts`). If a step has complaints, it returns them and
 * nothing else; otherwise it returns the configuration and the declared accounts.
 */

export type { Overrides } from './merge.ts';

export type Source = {
  /** YAML; absent without a file. */
  text?: string | undefined;
  /** Base of relative paths in the text. */
  folder?: string | undefined;
  /** Fields that override those of the text: command-line options. Their paths are absolute. */
  overrides?: Overrides | undefined;
  /**
   * Fields used if no other source has them: those of the environment. Their paths are absolute. A login applies to its
   * parent only: it is ignored if another parent is given.
   */
  defaults?: Overrides | undefined;
  /** A document whose fields are used if the text does not have them; they precede `defaults`. */
  lower?: { text: string; folder: string } | undefined;
  /** The text arrives after the start: fields that take effect only at a start are complaints. */
  late?: boolean | undefined;
} & Files;

/** Each complaint is one sentence that names the field and the remedy. */
export type Resolved =
  | { configuration: Configuration; accounts: DeclaredAccount[] }
  | { complaints: string[] };

export function resolveDocument(source: Source): Resolved {
  const { text, folder = '.', overrides = {}, defaults = {}, lower, late, ...files } = source;
  const parsed = parse(text ?? '');
  if ('complaints' in parsed) return parsed;
  const tooLate = late ? startFields.filter((field) => field in parsed.fields) : [];
  if (tooLate.length > 0) return { complaints: tooLate.map(lateComplaint) };
  placeFiles(parsed.fields.notifications, folder);
  const lowerDocument = parse(lower?.text ?? '');
  if ('complaints' in lowerDocument) return lowerDocument;
  const base = merge(lowerDocument.fields, {}, defaults, lower?.folder ?? '.');
  const fields = merge(parsed.fields, overrides, base, folder);
  const complaints = complaintsOf(fields, files);
  if (complaints.length > 0) return { complaints };
  const document = fields as Document;
  return { configuration: withDefaults(document), accounts: declaredAccounts(document) };
}

/** Fields that take effect only when the processes of a layer are started. */
const startFields = ['name', 'listen', 'tls', 'gateways', 'syncers'];

const lateComplaint = (field: string): string =>
  `${field} takes effect at a start, before this document is known: leave it out, and give it to "terrace up" as an option, or in its file`;

/** By default, a layer with a parent is a read-only copy of all of its repositories. */
function withDefaults(document: Document): Configuration {
  const { window = document.syncWindow } = document;
  const { parent, mode = parent ? 'ReadOnly' : 'ReadWrite', garbageCollection: garbage = {} } = document;
  return {
    name: document.name ?? 'layer',
    listen: document.listen ?? '127.0.0.1:5000',
    gateways: document.gateways ?? 1,
    ...(document.loginServer && { loginServer: document.loginServer.toLowerCase() }),
    ...(document.tls && { tls: document.tls }),
    trustedProxies: document.trustedProxies ?? THIS_MACHINE,
    challenge: document.challenge ?? 'Bearer',
    anonymousPull: document.anonymousPull ?? [],
    mode: mode === 'Registry' ? 'ReadWrite' : mode === 'Mirror' ? 'ReadOnly' : mode,
    ...(parent && { parent: { ...parent, url: loginServerOf(parent.url.replace(/\/$/, '')) } }),
    repositories: (document.repositories ?? (parent ? ['*'] : [])).map((one) => ({
      referrers: true,
      priority: 0,
      conflict: document.conflict ?? 'parent-wins',
      ...(typeof one === 'string' ? { name: one } : one),
    })),
    schedule: document.schedule ?? '* * * * *',
    ...(window && { windowMs: duration(window, 'PT1H') }),
    eventTtlMs: duration(document.eventTtl ?? document.messageTtl, 'P2D'),
    bandwidth: limits(document.bandwidth),
    notifications: notificationsOf(document.notifications),
    reserve: amount(document.reserve, '512MiB'),
    garbageCollection: {
      enabled: garbage.enabled ?? true,
      schedule: garbage.schedule ?? '0 0 * * *',
      graceMs: duration(garbage.grace, 'PT1H'),
      uploadsMs: duration(garbage.uploads, 'P1D'),
      transfersMs: duration(garbage.transfers, 'P30D'),
    },
    scrub: {
      ...(document.scrub?.schedule && { schedule: document.scrub.schedule }),
      rate: amount(document.scrub?.rate, '20MB'),
    },
    syncers: document.syncers ?? 1,
    connections: document.connections ?? 32,
    logLevel: logLevels[document.logLevel ?? 'info'],
  };
}

const amount = (value: string | number | undefined, fallback: string): number =>
  typeof value === 'number' ? value : (bytesOf(value ?? fallback) as number);
const duration = (value: string | undefined, fallback: string): number =>
  durationOf(value ?? fallback) as number;

function limits(bandwidth: Document['bandwidth'] = []): Configuration['bandwidth'] {
  const list = typeof bandwidth === 'string' ? [{ limit: bandwidth }] : bandwidth;
  return list.map(({ limit, from, to }: (typeof list)[number] & { from?: string; to?: string }) => ({
    ...(from && { from: minuteOf(from) }),
    ...(to && { to: minuteOf(to) }),
    limit: bitRateOf(limit) as number,
  }));
}

function parse(text: string): { fields: Fields } | { complaints: string[] } {
  const yaml = parseDocument(text, { prettyErrors: true });
  const [error] = yaml.errors;
  if (error) return { complaints: [`the document is not YAML: ${error.message.split('\n')[0]}`] };
  let value: unknown;
  try {
    value = yaml.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    return { complaints: [`the document is not usable YAML: ${(cause as Error).message}`] };
  }
  if (value === null || value === undefined) return { fields: {} };
  if (!isMapping(value)) {
    return { complaints: ['the document is not a mapping: write fields, such as "listen: 127.0.0.1:5000"'] };
  }
  return { fields: withoutNulls(value) };
}

/** A field without a value counts as absent. */
function withoutNulls(fields: Fields): Fields {
  const clean = (value: unknown): unknown =>
    isMapping(value) ? withoutNulls(value) : Array.isArray(value) ? value.map(clean) : value;
  const entries = Object.entries(fields).filter(([, value]) => value !== null);
  return Object.fromEntries(entries.map(([key, value]) => [key, clean(value)]));
}
