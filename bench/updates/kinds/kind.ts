/** Two images of each kind: before and after an update. */
export const VERSIONS = ['v1', 'v2'] as const;
export type Version = (typeof VERSIONS)[number];

export type Place = {
  /** Empty folder, for the files of the build. */
  folder: string;
  version: Version;
  /** Folder of what was downloaded or made, for all kinds. */
  sources: string;
};

/** Image of the published distribution, which each engine has: what a Dockerfile begins `FROM`. */
export const BASE = 'localhost/debian:published';

/** A kind of update. */
export type Kind = {
  name: string;
  /** What changes, in a few words. */
  change: string;
  /** The image is one program, which resembles its older version less than a tree of files does. */
  isBinary?: true;
  /** Builds `v2` without the cache, so that all above the base is made again. */
  isRebuilt?: true;
  /** Pushed also with layers that are not compressed. */
  isPushedPlain?: true;
  /** Fills the folder. @returns the Dockerfile */
  fill: (place: Place) => Promise<string>;
};
