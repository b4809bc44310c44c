import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { GroupCommit } from '#proto/async/group-commit.ts';
import { OpenFile } from './open-file.ts';

/**
 * The folders of the blob store, and the sync of their entries. A folder is made, and its own entry synced, once per
 * start; syncs of one folder that are requested while another one runs share the next one.
 */
export class SyncedFolders {
  readonly #root: string;
  readonly #mode: number;
  readonly #made = new Set<string>();
  /** Folders whose own entries, up to the root, are synced. */
  readonly #durable = new Set<string>();
  readonly #syncs = new Map<string, GroupCommit<void>>();

  /** @param mode of folders that are made */
  constructor(root: string, mode = 0o777) {
    this.#root = root;
    this.#mode = mode;
  }

  /** Makes the folder and those above it. */
  async make(folder: string): Promise<void> {
    if (this.#made.has(folder)) return;
    await mkdir(folder, { recursive: true, mode: this.#mode });
    this.#made.add(folder);
  }

  /** Syncs the entries of a folder below the root, its own entry, and those of the folders above it. */
  async sync(folder: string): Promise<void> {
    await this.#entries(folder);
    for (let at = folder; at !== this.#root && !this.#durable.has(at); at = dirname(at)) {
      await this.#entries(dirname(at));
      this.#durable.add(at);
    }
  }

  /** The sync begins after this call. */
  #entries(folder: string): Promise<void> {
    let sync = this.#syncs.get(folder);
    if (!sync) {
      sync = new GroupCommit(() => syncFolder(folder));
      this.#syncs.set(folder, sync);
    }
    return sync.add();
  }
}

async function syncFolder(path: string): Promise<void> {
  using folder = new OpenFile(path, 'r');
  await folder.sync();
}
