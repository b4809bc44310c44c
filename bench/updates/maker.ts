import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Cloud, startCloud } from '../../test/support/registry/cloud.ts';
import { getManifest } from '../../test/support/registry/image.ts';
import type { Builder, Engine } from './engines/engine.ts';
import { BASE, type Kind, VERSIONS, type Version } from './kinds/kind.ts';
import { linkLayout } from './layout.ts';
import { repositoryOf } from './pairs.ts';
import { run } from './run-program.ts';
import { rootfsTar } from './sources/debian.ts';
import { made } from './sources/made.ts';

type Name = { kind: string; builder: string };

/** Makes pairs in a folder. What is there already is not made again. */
export class PairMaker {
  readonly #folder: string;
  readonly #sources: string;
  readonly #isChosen: (builder: string) => boolean;

  /** @param isChosen whether pairs of a builder are made */
  constructor(folder: string, isChosen: (builder: string) => boolean = () => true) {
    this.#folder = folder;
    this.#sources = join(folder, 'sources');
    this.#isChosen = isChosen;
  }

  /** Gives the engine the image that Dockerfiles begin from. */
  async makeBase(engine: Engine): Promise<void> {
    await mkdir(this.#sources, { recursive: true });
    const context = await made(join(this.#folder, 'contexts/base'), async (part) => {
      await mkdir(part, { recursive: true });
      await run('cp', ['--link', await rootfsTar(this.#sources, 'published'), join(part, 'rootfs.tar')]);
      await writeFile(join(part, 'Dockerfile'), 'FROM scratch\nADD rootfs.tar /\nCMD ["bash"]\n');
    });
    await engine.build(context, BASE, { useCache: true });
  }

  /** Builds both images, and pushes them in each way of the engine. @returns the builders that were missing */
  async makePairs(engine: Engine, kind: Kind): Promise<string[]> {
    const missing = engine.builders.filter(
      ({ name, isPlain }) =>
        (!isPlain || kind.isPushedPlain) &&
        this.#isChosen(name) &&
        !this.#isMade({ kind: kind.name, builder: name }),
    );
    if (missing.length === 0) return [];
    for (const version of VERSIONS) {
      const useCache = !(kind.isRebuilt && version === 'v2');
      await engine.build(await this.#contextOf(kind, version), imageOf(kind, version), { useCache });
    }
    for (const builder of missing) await this.#push(builder, kind);
    await engine.remove(VERSIONS.map((version) => imageOf(kind, version)));
    return missing.map(({ name }) => name);
  }

  /** Makes a pair of two images that are there. @returns false if it was there */
  async makeOf(pair: Name, images: Record<Version, { pair: Name; version: Version }>): Promise<boolean> {
    if (this.#isMade(pair)) return false;
    await using registry = await this.#registry();
    const addressOf = (repository: Name, version: Version) =>
      `docker://${registry.host}/${repositoryOf(repository)}:${version}`;
    const options = ['--quiet', '--src-tls-verify=false', '--dest-tls-verify=false', '--preserve-digests'];
    for (const version of VERSIONS) {
      const { pair: from, version: tag } = images[version];
      await run('skopeo', ['copy', ...options, addressOf(from, tag), addressOf(pair, version)]);
    }
    await this.#link(registry, pair);
    return true;
  }

  #isMade = (pair: Name) => VERSIONS.every((version) => existsSync(this.#layoutOf(pair, version)));

  #layoutOf({ kind, builder }: Name, version: Version): string {
    return join(this.#folder, 'pairs', kind, builder, version);
  }

  #registry = () => startCloud({ folder: join(this.#folder, 'registry') });

  /** The files of a build; kept, so that all engines build the same ones. */
  #contextOf(kind: Kind, version: Version): Promise<string> {
    return made(join(this.#folder, 'contexts', kind.name, version), async (part) => {
      await mkdir(part, { recursive: true });
      const dockerfile = await kind.fill({ folder: part, version, sources: this.#sources });
      await writeFile(join(part, 'Dockerfile'), dockerfile);
    });
  }

  /** To a port of its own: clients remember blobs by the address, and push no other form of the same layer. */
  async #push(builder: Builder, kind: Kind): Promise<void> {
    await using registry = await this.#registry();
    const pair = { kind: kind.name, builder: builder.name };
    for (const version of VERSIONS)
      await builder.push(imageOf(kind, version), `${registry.host}/${repositoryOf(pair)}:${version}`);
    await this.#link(registry, pair);
  }

  async #link(registry: Cloud, pair: Name): Promise<void> {
    for (const version of VERSIONS) {
      const manifest = await getManifest(registry.host, repositoryOf(pair), version);
      if (!manifest) throw new Error(`the registry has no ${repositoryOf(pair)}:${version}`);
      const layout = this.#layoutOf(pair, version);
      await rm(layout, { recursive: true, force: true });
      await linkLayout(join(registry.folder, 'registry'), manifest, layout);
    }
  }
}

const imageOf = (kind: Kind, version: Version) => `localhost/${kind.name}:${version}`;
