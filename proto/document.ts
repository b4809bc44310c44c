import { isAbsolute, join } from 'node:path';
import { parseDocument } from 'yaml';
import { type Configuration, type Document, type Parent, THIS_MACHINE, type Tls } from './configuration.ts';
import { complaintsOf } from './document-complaints.ts';
import type { Files } from './document-files.ts';
import { bitRateOf, bytesOf, durationOf, minuteOf } from './quantities.ts';

/** From a configuration document as a person writes it to the configuration in force. Pure. */

/** Fields of a document that win over those of another. */
export type Overrides = Omit<Document, 'parent' | 'tls'> & { parent?: Partial<Parent>; tls?: Partial<Tls> };

export type Source = {
  /** YAML; nothing where there is no file. */
  text?: string | undefined;
  /** The folder that relative paths of the text start from. */
  folder?: string | undefined;
  /** Fields that win over those of the text: command-line options. Their paths are absolute. */
  overrides?: Overrides | undefined;
} & Files;

/** Each complaint is one sentence that names the field and the remedy. */
export type Resolved = { configuration: Configuration } | { complaints: string[] };

export function resolveDocument({ text, folder = '.', overrides = {}, ...files }: Source): Resolved {
  const read = parse(text ?? '');
  if ('complaints' in read) return read;
  const fields = merge(read.fields, overrides, folder);
  const complaints = complaintsOf(fields, files);
  return complaints.length > 0 ? { complaints } : { configuration: withDefaults(fields as Document) };
}

/** Field by field, those of parent and tls too; nothing is known of the form of the text's fields. */
function merge(fields: Fields, overrides: Overrides, folder: string): Fields {
  const { parent, tls } = fields;
  const merged: Fields = { ...fields, ...overrides };
  for (const [owner, files] of [
    [parent, ['passwordFile', 'caFile']],
    [tls, ['certificateFile', 'keyFile']],
  ] as const) {
    if (!isMapping(owner)) continue;
    for (const file of files) {
      const path = owner[file];
      if (typeof path === 'string' && path !== '' && !isAbsolute(path)) owner[file] = join(folder, path);
    }
  }
  if (isMapping(parent)) merged.parent = { ...parent, ...overrides.parent };
  if (isMapping(tls)) merged.tls = { ...tls, ...overrides.tls };
  return merged;
}

/** A layer with a parent is a copy of all of it, to be read, where the document doesn't say otherwise. */
function withDefaults(document: Document): Configuration {
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
    ...(parent && { parent: { ...parent, url: parent.url.replace(/\/$/, '') } }),
    repositories: (document.repositories ?? (parent ? ['*'] : [])).map((one) => ({
      referrers: true,
      priority: 0,
      conflict: document.conflict ?? 'parent-wins',
      ...(typeof one === 'string' ? { name: one } : one),
    })),
    schedule: document.schedule ?? '* * * * *',
    ...(document.window && { windowMs: duration(document.window, 'PT1H') }),
    eventTtlMs: duration(document.eventTtl, 'P2D'),
    bandwidth: limits(document.bandwidth),
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
    logLevel: document.logLevel ?? 'info',
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

type Fields = Record<string, unknown>;
const isMapping = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

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
