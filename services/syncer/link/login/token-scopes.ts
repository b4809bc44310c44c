import type { ParentRepository } from '#proto/oci/repository-names.ts';

/** Scopes for the parent's token service ("Docker Registry v2 authentication", scopes). */
export const pullScope = (repository: ParentRepository): string => `repository:${repository}:pull`;
export const pushScope = (repository: ParentRepository): string => `repository:${repository}:pull,push`;
export const deleteScope = (repository: ParentRepository): string =>
  `repository:${repository}:pull,push,delete`;
/** Metadata at an Azure registry. */
export const metadataScope = (repository: ParentRepository): string =>
  `repository:${repository}:metadata_read`;
/** A list of tags: at an Azure registry, that is metadata. */
export const tagsScope = (repository: ParentRepository, azure: boolean): string =>
  azure ? `repository:${repository}:pull,metadata_read` : pullScope(repository);
