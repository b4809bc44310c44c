import { isAbsolute, join } from 'node:path';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { Cron } from 'croner';
import { parseDocument } from 'yaml';
import { type Configuration, Document, type Parent } from './configuration.ts';
import { isRepository } from './names.ts';

/** From a configuration document as a person writes it to the configuration in force. Pure. */

/** Fields of a document that win over those of another. */
export type Overrides = Omit<Document, 'parent'> & { parent?: Partial<Parent> };

export type Source = {
  /** YAML; nothing where there is no file. */
  text?: string | undefined;
  /** The folder that relative paths of the text start from. */
  folder?: string | undefined;
  /** Fields that win over those of the text: command-line options. Their paths are absolute. */
  overrides?: Overrides | undefined;
  /** Whether a file can be read. */
  readable: (path: string) => boolean;
};

/** Each complaint is one sentence that names the field and the remedy. */
export type Resolved = { configuration: Configuration } | { complaints: string[] };

const form = TypeCompiler.Compile(Document);

const remedies: Record<string, string> = {
  name: 'use lower-case letters, digits and - between them, 63 characters at most',
  listen: 'write host:port, such as 127.0.0.1:5000',
  mode: 'write ReadWrite or ReadOnly',
  parent: 'write a mapping with the fields url, username and passwordFile',
  'parent.url': 'write https://host or http://host, with a port where it needs one and no path',
  'parent.username': 'write a text',
  'parent.passwordFile': 'write the path of a file that holds the password',
  repositories: 'write a list of repository names, prefix/* or *',
  schedule: 'write cron with five fields (UTC), such as "*/15 * * * *"',
  conflict: 'write parent-wins or layer-wins',
  syncers: 'write a whole number from 1 to 64',
  connections: 'write a whole number from 1 to 64',
  logLevel: 'write debug, info, warn or error',
};

export function resolveDocument({ text, folder = '.', overrides = {}, readable }: Source): Resolved {
  const read = parse(text ?? '');
  if ('complaints' in read) return read;
  const fields = merge(read.fields, overrides, folder);
  const misformed = formComplaints(fields);
  if (misformed.length > 0) return { complaints: misformed };
  const document = fields as Document;
  const complaints = meaningComplaints(document, readable);
  return complaints.length > 0 ? { complaints } : { configuration: withDefaults(document) };
}

/** Field by field, those of the parent too; nothing is known of the form of the text's fields. */
function merge(fields: Fields, overrides: Overrides, folder: string): Fields {
  const { parent } = fields;
  const merged: Fields = { ...fields, ...overrides };
  if (!isMapping(parent)) return merged;
  const { passwordFile } = parent;
  if (typeof passwordFile === 'string' && !isAbsolute(passwordFile)) {
    parent.passwordFile = join(folder, passwordFile);
  }
  merged.parent = { ...parent, ...overrides.parent };
  return merged;
}

/** A layer with a parent is a copy of all of it, to be read, where the document doesn't say otherwise. */
function withDefaults(document: Document): Configuration {
  const { parent, mode = parent ? 'ReadOnly' : 'ReadWrite' } = document;
  return {
    name: document.name ?? 'layer',
    listen: document.listen ?? '127.0.0.1:5000',
    mode: mode === 'Registry' ? 'ReadWrite' : mode === 'Mirror' ? 'ReadOnly' : mode,
    ...(parent && { parent: { ...parent, url: parent.url.replace(/\/$/, '') } }),
    repositories: document.repositories ?? (parent ? ['*'] : []),
    schedule: document.schedule ?? '* * * * *',
    conflict: document.conflict ?? 'parent-wins',
    syncers: document.syncers ?? 1,
    connections: document.connections ?? 4,
    logLevel: document.logLevel ?? 'info',
  };
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
  const kept = Object.entries(fields).filter(([, value]) => value !== null);
  return Object.fromEntries(
    kept.map(([key, value]) => [key, isMapping(value) ? withoutNulls(value) : value]),
  );
}

function formComplaints(fields: Fields): string[] {
  const complaints = new Map<string, string>();
  for (const error of form.Errors(fields)) {
    const field = error.path.slice(1).replaceAll('/', '.');
    if (complaints.has(field)) continue;
    const remedy = remedies[field] ?? remedies[field.replace(/\.\d+$/, '')];
    if (remedy && error.value === undefined) complaints.set(field, `${field} is missing: ${remedy}`);
    else if (remedy) complaints.set(field, `${field} ${quote(error.value)} is not valid: ${remedy}`);
    else {
      const owner = field.startsWith('parent.') ? 'parent.' : '';
      const fieldsThere = Object.keys(remedies).filter((name) =>
        owner ? name.startsWith(owner) : !name.includes('.'),
      );
      complaints.set(field, `${field} is not a field: the fields are ${fieldsThere.join(', ')}`);
    }
  }
  return [...complaints.values()];
}

/** What a schema can't say. */
function meaningComplaints(document: Document, readable: Source['readable']): string[] {
  const { listen, parent, repositories = [], schedule } = document;
  const complaints: string[] = [];
  const port = Number(listen?.slice(listen.lastIndexOf(':') + 1) ?? 1);
  if (port < 1 || port > 65_535)
    complaints.push(`listen ${quote(listen)} is not valid: ports go from 1 to 65535`);
  if (parent) complaints.push(...parentComplaints(parent, readable));
  for (const pattern of repositories) {
    if (pattern !== '*' && !isRepository(pattern.replace(/\/\*$/, ''))) {
      complaints.push(`repositories ${quote(pattern)} is not valid: ${remedies.repositories}`);
    }
  }
  if (schedule !== undefined && !runsEver(schedule)) {
    complaints.push(`schedule ${quote(schedule)} is not valid: ${remedies.schedule}`);
  }
  return complaints;
}

function parentComplaints(parent: NonNullable<Document['parent']>, readable: Source['readable']): string[] {
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
