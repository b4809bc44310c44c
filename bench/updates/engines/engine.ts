/** A program that builds images and pushes them. */
export type Engine = AsyncDisposable & {
  /** The ways in which it pushes. */
  readonly builders: readonly Builder[];
  /** Builds the Dockerfile of a folder. @param useCache layers that were built before may be taken */
  build(folder: string, image: string, options: { useCache: boolean }): Promise<void>;
  /** Removes images, and what only they needed. */
  remove(images: readonly string[]): Promise<void>;
};

/** One way to make the layers of an image. */
export type Builder = {
  name: string;
  /** Only for images that are pushed without compression, too. */
  isPlain?: true;
  push: (image: string, reference: string) => Promise<void>;
};
