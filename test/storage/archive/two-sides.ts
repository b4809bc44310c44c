import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ImportResult } from '#proto/archive/archives.ts';
import { listTags } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type Buses, bytesOf, connectAll, descriptorOf, imageOf, Rig } from '../rig.ts';

type ExportQuery = Parameters<Rig['storage']['archives']['export']>[0];
type Rules = Parameters<Rig['storage']['archives']['import']>[1];
type ImportQuery = Parameters<Rig['storage']['archives']['import']>[0];

/** Two layers, north and south, that only exchange files. */
export class TwoSides implements AsyncDisposable {
  readonly north: Rig;
  readonly south: Rig;
  /** Temporary; deleted at the end. */
  readonly folder: string;
  readonly #buses: Buses[];

  static async open(): Promise<TwoSides> {
    const buses = await Promise.all([connectAll(), connectAll()]);
    const [north, south] = await Promise.all(
      buses.map((each, at) => Rig.open(each, undefined, at === 0 ? 'north' : 'south')),
    );
    const folder = await mkdtemp(join(tmpdir(), 'terrace-archive-'));
    return new TwoSides(north as Rig, south as Rig, folder, buses);
  }

  private constructor(north: Rig, south: Rig, folder: string, buses: Buses[]) {
    this.north = north;
    this.south = south;
    this.folder = folder;
    this.#buses = buses;
  }

  /** @param from by default, north for south */
  export(query: Partial<ExportQuery> = {}, from = this.north) {
    const target = from === this.north ? 'south' : 'north';
    return from.storage.archives.export({ folder: this.folder, target, repositories: ['*'], ...query });
  }

  /** Imports the only set that there is. */
  async import(query: Partial<ImportQuery> = {}, into = this.south, rules?: Rules): Promise<ImportResult> {
    const all = { folder: this.folder, keyFiles: [], dryRun: false, ...query };
    const { results } = await into.storage.archives.import(all, rules);
    if (results.length !== 1) throw new Error(`${results.length} results`);
    return results[0] as ImportResult;
  }

  files(): Promise<string[]> {
    return readdir(this.folder).then((names) => names.sort());
  }

  /** Bytes of all files in the folder. */
  async bytes(): Promise<number> {
    const sizes = (await this.files()).map(async (name) => (await stat(join(this.folder, name))).size);
    return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.north, this.south].map((rig) => rig[Symbol.asyncDispose]()));
    for (const buses of this.#buses) await buses.server[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Tags of a repository, with their targets. */
export async function tagsOf(rig: Rig, repository: string): Promise<Record<string, string>> {
  try {
    const { tags } = await rig.gateway.call(listTags, { repository, limit: 1_000 });
    return Object.fromEntries(tags.map(({ tag, digest }) => [tag, digest]));
  } catch (error) {
    if (Fault.is(error, 'name-unknown')) return {};
    throw error;
  }
}

/** Pushes an image with these layers. */
export async function pushBlobs(
  rig: Rig,
  repository: string,
  tag: string,
  layers: readonly Uint8Array[],
): Promise<string> {
  const config = bytesOf(JSON.stringify({ repository, tag }));
  await rig.gateway.push(repository, config);
  for (const layer of layers) await rig.gateway.push(repository, layer);
  const manifest = imageOf('', {
    config: descriptorOf(config, 'application/vnd.example.config'),
    layers: layers.map((layer) => descriptorOf(layer)),
  });
  return rig.gateway.pushManifest(repository, manifest, { tag });
}
