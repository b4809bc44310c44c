import { type Static, Type } from '../contract/schema.ts';
import { isRepository } from './names.ts';
import { matchesPattern, RepositoryPattern } from './repository-pattern.ts';

/**
 * Names of repositories at the parent and in this layer. Everything in a layer uses the layer's names; only the clients
 * of the parent translate them.
 */

declare const atParent: unique symbol;
/**
 * Name of a repository at the parent, made by `RepositoryNames.above` alone: paths and scopes of requests accept no
 * other name.
 */
export type ParentRepository = string & { readonly [atParent]: true };

/** Repositories that have another name here: `from` at the parent. Both are names, or both end in `*`. */
export const Rename = Type.Object({ name: RepositoryPattern, from: RepositoryPattern });
export type Rename = Static<typeof Rename>;

/** Max renames of a layer: storage records all of them in one value. */
export const MAX_RENAMES = 500;
export const Renames = Type.Array(Rename, { maxItems: MAX_RENAMES });

/** The renames among selections, in one order. */
export const renamesOf = (selections: readonly { name: string; from?: string | undefined }[]): Rename[] =>
  selections
    .flatMap(({ name, from }) => (from === undefined || from === name ? [] : [{ name, from }]))
    .sort((a, b) => (a.name < b.name ? -1 : 1));

/** Whether the patterns are both names, or both end in `*`. */
export const isRenaming = ({ name, from }: Rename): boolean => name.endsWith('*') === from.endsWith('*');

/** The same text with another beginning: `line/a` or `line/*` for `plant/a` or `plant/*`. It matches `before`. */
export function renamed(text: string, before: string, after: string): string {
  return before.endsWith('*') ? `${after.slice(0, -1)}${text.slice(before.length - 1)}` : after;
}

/**
 * Translates names, both ways. No two repositories of the parent have one name here, and no repository has two: a
 * repository of the parent whose own name is taken here by another one has none. Pure.
 */
export class RepositoryNames {
  readonly #renames: readonly Rename[];

  constructor(renames: readonly Rename[] = []) {
    // The most specific one applies.
    this.#renames = [...renames].sort((a, b) => b.name.length - a.name.length);
  }

  /** The parent's name of a repository of this layer. */
  above(local: string): ParentRepository {
    const rename = this.#renames.find(({ name }) => matchesPattern([name], local));
    return (rename ? renamed(local, rename.name, rename.from) : local) as ParentRepository;
  }

  /** The name here of a repository of the parent; undefined if it has none. */
  here(parent: string): string | undefined {
    const candidates = this.#renames
      .filter(({ from }) => matchesPattern([from], parent))
      .map(({ name, from }) => renamed(parent, from, name));
    return [...candidates, ...(candidates.length > 0 ? [] : [parent])].find(
      (local) => isRepository(local) && this.above(local) === parent,
    );
  }
}

/** For a parent whose repositories have the same names here. */
export const SAME_NAMES = new RepositoryNames();
