import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Sbom } from '#proto/oci/sbom.ts';

const EXTENSIONS: Record<Sbom['format'], string> = {
  SPDX: 'spdx',
  CycloneDX: 'cdx',
  Syft: 'syft',
  unknown: 'sbom',
};

/** Characters of a name that are kept. */
const OTHERS = /[^\w.-]+/g;

/** Writes SBOMs into a folder, each under a name made of its image and its digest. */
export class SbomFiles {
  readonly #folder: string;

  static async create(folder: string): Promise<SbomFiles> {
    await mkdir(folder, { recursive: true });
    return new SbomFiles(folder);
  }

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** @returns the path of the file, which is complete or not there */
  async write(
    { image, digest, platform = '' }: { image: string; digest: string; platform?: string | undefined },
    { format }: Pick<Sbom, 'format'>,
    bytes: Uint8Array,
  ): Promise<string> {
    const parts = [image.replace(':', '@'), platform, digest.slice(digest.indexOf(':') + 1).slice(0, 12)];
    const name = parts
      .filter(Boolean)
      .map((part) => part.replaceAll('/', '_').replaceAll(OTHERS, '-'))
      .join('.');
    const isJson = bytes[0] === 0x7b;
    const path = join(this.#folder, `${name}.${EXTENSIONS[format]}.${isJson ? 'json' : 'txt'}`);
    await writeFile(`${path}.part`, bytes);
    await rename(`${path}.part`, path);
    return path;
  }
}
