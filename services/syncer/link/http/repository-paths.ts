import type { Digest, Tag } from '#proto/oci/names.ts';
import type { ParentRepository } from '#proto/oci/repository-names.ts';

/** Paths of a repository at the parent (distribution-spec, "Endpoints"). */
export const tagsPath = (repository: ParentRepository): string => `/v2/${repository}/tags/list?n=1000`;
export const manifestPath = (repository: ParentRepository, reference: Tag | Digest): string =>
  `/v2/${repository}/manifests/${reference}`;
export const blobPath = (repository: ParentRepository, digest: Digest): string =>
  `/v2/${repository}/blobs/${digest}`;
export const uploadsPath = (repository: ParentRepository): string => `/v2/${repository}/blobs/uploads/`;
export const referrersPath = (repository: ParentRepository, digest: Digest): string =>
  `/v2/${repository}/referrers/${digest}`;
/** A path of Azure Container Registry. */
export const acrPath = (repository: ParentRepository): string => `/acr/v1/${repository}`;
