import { isDeepStrictEqual } from 'node:util';
import type { Configuration } from '#proto/document/configuration.ts';
import { type BatchWriter, put } from '../../metadata/metadata.ts';
import type { MetadataReader } from '../../metadata/metadata-reader.ts';
import type { ArchiveSettingsRecord } from '../../metadata/records.ts';

export type ArchiveConfiguration = Partial<Pick<Configuration, 'archive' | 'exchanges' | 'repositories'>>;

type SettingsRecords = BatchWriter & Pick<MetadataReader, 'archiveSettings'>;

/**
 * What archives take from the layer: its name, the keys that it trusts, and its exchanges. Recorded: a command that
 * works while no layer runs has the same.
 */
export class ArchiveSettings {
  readonly #metadata: SettingsRecords;
  #current: ArchiveSettingsRecord;

  /** @param isAlone no layer runs: `layer` is not its name */
  static async open(metadata: SettingsRecords, layer: string, isAlone: boolean): Promise<ArchiveSettings> {
    const recorded = await metadata.archiveSettings();
    const settings = new ArchiveSettings(metadata, recorded ?? { layer, keyFiles: [] });
    if (!isAlone) await settings.#change({ layer });
    return settings;
  }

  private constructor(metadata: SettingsRecords, current: ArchiveSettingsRecord) {
    this.#metadata = metadata;
    this.#current = current;
  }

  get layer(): string {
    return this.#current.layer;
  }

  get current(): Readonly<ArchiveSettingsRecord> {
    return this.#current;
  }

  /** Takes effect at once. */
  configure({ archive, exchanges = [], repositories = [] }: ArchiveConfiguration): Promise<void> {
    return this.#change({
      keyFiles: archive?.keyFiles ?? [],
      exchanges: exchanges.map(({ peer, side, mode, repositories: granted, verifyKeyFiles }) => ({
        ...(peer !== undefined && { peer }),
        ...{ side, mode, repositories: granted, verifyKeyFiles },
      })),
      // Without exchanges, nothing asks for them.
      selections: exchanges.length > 0 ? repositories.map(({ name, conflict }) => ({ name, conflict })) : [],
    });
  }

  async #change(fields: Partial<ArchiveSettingsRecord>): Promise<void> {
    const next = { ...this.#current, ...fields };
    const isStored = isDeepStrictEqual(await this.#metadata.archiveSettings(), next);
    this.#current = next;
    if (!isStored) await this.#metadata.write(put.archiveSettings(next));
  }
}
