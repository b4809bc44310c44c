import type { Repositories } from '#proto/api/repositories.ts';

/**
 * What the gateway will answer for a part of the name, as a list without that filter has it already.
 * @returns undefined if the list is not known, or only a page of it
 */
export function filteredList(list: Repositories | undefined, match: string): Repositories | undefined {
  if (!list || list.next !== undefined) return undefined;
  const part = match.toLowerCase();
  return { ...list, items: list.items.filter(({ repository }) => repository.includes(part)) };
}
