import { isAbsolute, join } from 'node:path';
import { azureFiles } from '../azure.ts';
import type { Document, Parent, Tls } from '../configuration.ts';

/** What a document, the fields that win over it and those beneath it make together. Pure. */

/** Fields of a document that win over those of another, or count where it does not name them. Their paths are absolute. */
export type Overrides = Omit<Document, 'parent' | 'tls'> & { parent?: Partial<Parent>; tls?: Partial<Tls> };

/** Fields as they were read: nothing is known of their form yet. */
export type Fields = Record<string, unknown>;

export const isMapping = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Mappings that are merged field by field, and which of their fields are paths. */
const owners = {
  parent: ['passwordFile', 'caFile'],
  tls: ['certificateFile', 'keyFile'],
} as const;
type Owner = keyof typeof owners;
const ownerNames = Object.keys(owners) as Owner[];

/** Fields that make sense only together: who names one of them names them all. */
const pairs: Record<Owner, readonly string[]> = {
  parent: ['username', 'passwordFile', 'azure'],
  tls: ['certificateFile', 'keyFile'],
};

/** @param folder what relative paths of `fields` start from; those of the others are absolute */
export function merge(fields: Fields, overrides: Overrides, defaults: Fields, folder: string): Fields {
  const named = over(absolute(fields, folder), overrides);
  const merged: Fields = { ...defaults, ...named };
  for (const owner of ownerNames) {
    const [mine, beneath] = [named[owner], defaults[owner]];
    if (isMapping(mine) && isMapping(beneath)) merged[owner] = { ...fitting(owner, beneath, mine), ...mine };
  }
  return merged;
}

function absolute(fields: Fields, folder: string): Fields {
  const made = { ...fields };
  for (const owner of ownerNames) {
    const mapping = fields[owner];
    if (!isMapping(mapping)) continue;
    made[owner] = withPaths(mapping, owners[owner], folder);
    if (owner === 'parent' && isMapping(mapping.azure)) {
      made[owner] = { ...(made[owner] as Fields), azure: withPaths(mapping.azure, azureFiles, folder) };
    }
  }
  for (const list of ['tokens', 'children']) {
    if (list in fields) made[list] = withSecretPaths(fields[list], folder);
  }
  return made;
}

/** Of `tokens` and `children`. */
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
  const paths = files.flatMap((file) => {
    const path = mapping[file];
    return typeof path === 'string' && path !== '' && !isAbsolute(path) ? [[file, join(folder, path)]] : [];
  });
  return { ...mapping, ...Object.fromEntries(paths) };
}

function over(fields: Fields, overrides: Overrides): Fields {
  const made: Fields = { ...fields, ...overrides };
  for (const owner of ownerNames) {
    const mapping = fields[owner];
    if (isMapping(mapping)) made[owner] = { ...mapping, ...overrides[owner] };
  }
  return made;
}

/** What of the fields beneath may stand beside those that are named. */
function fitting(owner: Owner, beneath: Fields, named: Fields): Fields {
  // The login and the trust that were given for one parent are nothing to any other.
  if (owner === 'parent' && named.url !== undefined && originOf(named.url) !== originOf(beneath.url))
    return {};
  if (!pairs[owner].some((field) => named[field] !== undefined)) return beneath;
  return Object.fromEntries(Object.entries(beneath).filter(([field]) => !pairs[owner].includes(field)));
}

/** Scheme, host and port; a text that is no URL is like no other. */
function originOf(url: unknown): unknown {
  return typeof url === 'string' && URL.canParse(url) ? new URL(url).origin : Symbol('none');
}
