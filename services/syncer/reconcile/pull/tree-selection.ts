import type { Fault } from '#proto/contract/fault.ts';
import type { Digest } from '#proto/oci/names.ts';

/** Which part of a tree is wanted. */
export type TreeSelection = {
  platforms?: readonly string[] | undefined;
  referrers: boolean | readonly string[];
  /** Whether a client deleted the manifest here: it is not pulled as a referrer, or as a child of a local manifest. */
  isDeleted: (digest: Digest) => boolean;
  /** Children that the parent does not provide, see `PassCaches.leftOutByParent`. Extended by `loadMissingTree`. */
  leftOutByParent: Map<string, Fault>;
  /** The root is a list of referrers: it may name manifests that are not wanted, or are deleted by now. */
  isList: boolean;
};
