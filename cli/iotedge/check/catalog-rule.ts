import { isAzure } from '#proto/document/azure.ts';
import type { Configuration } from '#proto/document/configuration.ts';

/**
 * Complaints about patterns that a sync token can't resolve: an Azure registry lists its catalog only for a token whose
 * scope map covers all repositories. Pure.
 */
export function catalogComplaints({
  parent,
  repositories,
}: Pick<Configuration, 'parent' | 'repositories'>): string[] {
  if (!parent || parent.azure || !isAzure(parent)) return [];
  const patterns = repositories.map(({ name }) => name).filter((name) => name.endsWith('*'));
  if (patterns.length === 0) return [];
  const { host } = new URL(parent.url);
  return [
    `repositories has ${patterns.join(', ')}, which needs the catalog of ${host}, and a token for single repositories can't list it: name each repository (--repository), or add --catalog if the scope map of the sync token covers *`,
  ];
}
