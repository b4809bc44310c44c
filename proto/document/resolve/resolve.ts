import { parseDocument } from 'yaml';
import { loginServerOf } from '../azure.ts';
import { type Configuration, type Document, logLevels, THIS_MACHINE } from '../configuration.ts';
import { type DeclaredAccount, declaredAccounts } from '../declared-accounts.ts';
import type { Files } from '../files.ts';
import { notificationsOf, placeFiles } from '../notifications.ts';
import { bitRateOf, bytesOf, durationOf, minuteOf } from '../quantities.ts';
import { complaintsOf } from '../validation/document.ts';
import { type Fields, isMapping, merge, type Overrides } from './merge.ts';

/** From a configuration document as a person writes it to the configuration in force. Pure. */

export type { Overrides } from './merge.ts';

export type Source = {
  /** YAML; nothing where there is no file. */
  text?: string | undefined;
  /** The folder that relative paths of the text start from. */
  folder?: string | undefined;
  /** Fields that win over those of the text: command-line options. Their paths are absolute. */
  overrides?: Overrides | undefined;
  /**
   * Fields that count where neither the text nor the overrides name them: what the environment says. Their paths are
   * absolute. The login for a parent is for that parent: where another is named, it does not count.
   */
  defaults?: Overrides | undefined;
  /** A document whose fields count where the text does not name them, above `defaults`. */
  beneath?: { text: string; folder: string } | undefined;
  /** The text comes after the start: fields that count only there are complaints. */
  late?: boolean | undefined;
} & Files;

/** Each complaint is one sentence that names the field and the remedy. */
export type Resolved =
  | { configuration: Configuration; accounts: DeclaredAccount[] }
  | { complaints: string[] };

export function resolveDocument(source: Source): Resolved {
  const { text, folder = '.', overrides = {}, defaults = {}, beneath, late, ...files } = source;
  const read = parse(text ?? '');
  if ('complaints' in read) return read;
  const tooLate = late ? startFields.filter((field) => field in read.fields) : [];
  if (tooLate.length > 0) return { complaints: tooLate.map(lateComplaint) };
  placeFiles(read.fields.notifications, folder);
  const below = parse(beneath?.text ?? '');
  if ('complaints' in below) return below;
  const under = merge(below.fields, {}, defaults, beneath?.folder ?? '.');
  const fields = merge(read.fields, overrides, under, folder);
  const complaints = complaintsOf(fields, files);
  if (complaints.length > 0) return { complaints };
  const document = fields as Document;
  return { configuration: withDefaults(document), accounts: declaredAccounts(document) };
}

/** What the processes of a layer are started with. */
const startFields = ['name', 'listen', 'tls', 'gateways', 'syncers'];

const lateComplaint = (field: string): string =>
  `${field} takes effect at a start, before this document is known: leave it out, and give it to "terrace up" as an option, or in its file`;

/** A layer with a parent is a copy of all of it, to be read, where the document doesn't say otherwise. */
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

const amount = (value: string | number | undefined, otherwise: string): number =>
  typeof value === 'number' ? value : (bytesOf(value ?? otherwise) as number);
const duration = (value: string | undefined, otherwise: string): number =>
  durationOf(value ?? otherwise) as number;

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

/** A field with nothing behind its colon counts as left out. */
function withoutNulls(fields: Fields): Fields {
  const spoken = (value: unknown): unknown =>
    isMapping(value) ? withoutNulls(value) : Array.isArray(value) ? value.map(spoken) : value;
  const kept = Object.entries(fields).filter(([, value]) => value !== null);
  return Object.fromEntries(kept.map(([key, value]) => [key, spoken(value)]));
}
