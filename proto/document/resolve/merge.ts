import { isAbsolute, join } from 'node:path';
import { isMapping } from '../../contract/plain-data.ts';
import { azureFiles } from '../azure.ts';
import type { Document, Tls } from '../document.ts';
import { exchangeFieldNames, exchangePaths } from '../exchanges.ts';
import type { ParentDocument } from '../parent.ts';

/** Merges a document with the fields that override it and with its defaults. Pure. */

/** Fields that override those of a document, or serve as its defaults. Their paths are absolute. */
export type Overrides = Omit<Document, 'parent' | 'tls'> & {
  parent?: Partial<ParentDocument>;
  tls?: Partial<Tls>;
};

/** Fields as parsed, not validated yet. */
export type Fields = Record<string, unknown>;

/** Mappings that are merged field by field, and which of their fields are paths. */
const owners = {
  parent: ['passwordFile', 'caFile', 'certificateFile', 'keyFile', ...exchangePaths],
  tls: ['certificateFile', 'keyFile'],
} as const;
const syslogFiles = ['caFile', 'certificateFile', 'keyFile'];
type Owner = keyof typeof owners;
const ownerNames = Object.keys(owners) as Owner[];
/** Names of the mappings that are merged field by field. */
export const MERGED_MAPPINGS: readonly string[] = ownerNames;

/** Fields that belong together: a mapping that has one of them takes none of them from its defaults. */
const certificate = ['certificateFile', 'keyFile'];
const groups: Record<Owner, readonly (readonly string[])[]> = {
  parent: [['username', 'passwordFile', 'azure'], certificate],
  tls: [certificate],
};

/**
 * Merges, in order of precedence, `overrides`, `fields` and `defaults`.
 * @param folder base of relative paths in `fields`; paths in the other two are absolute
 */
export function merge(fields: Fields, overrides: Overrides, defaults: Fields, folder: string): Fields {
  const upper = override(withAbsolutePaths(fields, folder), overrides);
  const merged: Fields = { ...defaults, ...upper };
  for (const owner of ownerNames) {
    const [above, below] = [upper[owner], defaults[owner]];
    if (isMapping(above) && isMapping(below)) merged[owner] = { ...fitting(owner, below, above), ...above };
  }
  return merged;
}

function withAbsolutePaths(fields: Fields, folder: string): Fields {
  const result = { ...fields };
  for (const owner of ownerNames) {
    const mapping = fields[owner];
    if (!isMapping(mapping)) continue;
    result[owner] = withPaths(mapping, owners[owner], folder);
    if (owner === 'parent' && isMapping(mapping.azure)) {
      result[owner] = { ...(result[owner] as Fields), azure: withPaths(mapping.azure, azureFiles, folder) };
    }
  }
  if (isMapping(fields.archive)) result.archive = withPathLists(fields.archive, ['keyFiles'], folder);
  if (isMapping(fields.backup)) result.backup = withPaths(fields.backup, ['target'], folder);
  if (isMapping(fields.audit) && isMapping(fields.audit.syslog)) {
    result.audit = { ...fields.audit, syslog: withPaths(fields.audit.syslog, syslogFiles, folder) };
  }
  if (Array.isArray(fields.exchanges)) {
    result.exchanges = fields.exchanges.map((one) =>
      isMapping(one) ? withPaths(one, exchangePaths, folder) : one,
    );
  }
  for (const list of ['tokens', 'children']) {
    if (list in fields) result[list] = withSecretPaths(fields[list], folder);
  }
  return result;
}

/** @param accounts `tokens` or `children` */
function withSecretPaths(accounts: unknown, folder: string): unknown {
  const within = (list: unknown, change: (entry: Fields) => Fields) =>
    Array.isArray(list) ? list.map((entry) => (isMapping(entry) ? change(entry) : entry)) : list;
  return within(accounts, (account) =>
    'passwords' in account
      ? { ...account, passwords: within(account.passwords, (one) => withPaths(one, ['secretFile'], folder)) }
      : account,
  );
}

function withPaths(mapping: Fields, files: readonly string[], folder: string): Fields {
  const absolute = (path: unknown) =>
    typeof path === 'string' && path !== '' && !isAbsolute(path) ? join(folder, path) : path;
  const paths = files.flatMap((file) => {
    const value = mapping[file];
    return value === undefined ? [] : [[file, Array.isArray(value) ? value.map(absolute) : absolute(value)]];
  });
  return { ...mapping, ...Object.fromEntries(paths) };
}

/** The same for fields that are lists of paths. */
function withPathLists(mapping: Fields, lists: readonly string[], folder: string): Fields {
  const absolute = (path: unknown) =>
    typeof path === 'string' && path !== '' && !isAbsolute(path) ? join(folder, path) : path;
  const changed = lists.flatMap((list) => {
    const paths = mapping[list];
    return Array.isArray(paths) ? [[list, paths.map(absolute)]] : [];
  });
  return { ...mapping, ...Object.fromEntries(changed) };
}

function override(fields: Fields, overrides: Overrides): Fields {
  const result: Fields = { ...fields, ...overrides };
  for (const owner of ownerNames) {
    const mapping = fields[owner];
    if (isMapping(mapping))
      result[owner] = { ...withoutFolder(mapping, overrides[owner]), ...overrides[owner] };
  }
  return result;
}

/** A parent that is given by its URL replaces the folder of a document. */
function withoutFolder(mapping: Fields, above: Fields | undefined): Fields {
  if (above?.url === undefined || mapping.folder === undefined) return mapping;
  const replaced: readonly string[] = ['folder', 'name', ...exchangeFieldNames];
  return Object.fromEntries(Object.entries(mapping).filter(([field]) => !replaced.includes(field)));
}

/** Fields of the lower mapping that may be combined with the upper one. */
function fitting(owner: Owner, below: Fields, above: Fields): Fields {
  // Login and certificates for one parent must not be used for another one.
  if (owner === 'parent' && above.folder !== undefined && above.folder !== below.folder) return {};
  if (owner === 'parent' && above.url !== undefined && addressOf(above.url) !== addressOf(below.url))
    return {};
  const replaced = groups[owner].filter((group) => group.some((field) => above[field] !== undefined)).flat();
  return Object.fromEntries(Object.entries(below).filter(([field]) => !replaced.includes(field)));
}

/** Scheme, host, port and path; an invalid URL equals no other. */
function addressOf(url: unknown): unknown {
  if (typeof url !== 'string' || !URL.canParse(url)) return Symbol('none');
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname.replace(/\/$/, '')}`;
}

/** Resolves relative paths of webhooks against a folder, in place, in a document that is not validated yet. */
export function resolveWebhookPaths(notifications: unknown, folder: string): void {
  const { webhooks } = (notifications ?? {}) as { webhooks?: unknown };
  for (const one of Array.isArray(webhooks) ? webhooks : []) {
    for (const file of ['secretFile', 'caFile']) {
      const path = one?.[file];
      if (typeof path === 'string' && path !== '' && !isAbsolute(path)) one[file] = join(folder, path);
    }
  }
}
