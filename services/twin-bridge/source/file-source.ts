import { type FSWatcher, readFileSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { DocumentSource, SourceState } from './source.ts';

/** Poll interval, in ms. Some file systems (network shares, bind mounts) don't report changes. */
const POLL_MS = 5_000;
/** Debounce of changes, in ms. An editor writes in several steps. */
const DEBOUNCE_MS = 50;

/**
 * A YAML file that is read again when it changes. The folder is watched, not the file: an editor replaces the file, and
 * the file may be missing for a while.
 */
export function fileSource(path: string, pollMs = POLL_MS): DocumentSource {
  return {
    name: path,
    watch(handler) {
      let last: string | undefined;
      let candidate: string | undefined;
      let debouncing: NodeJS.Timeout | undefined;
      const debounce = () => {
        clearTimeout(debouncing);
        debouncing = setTimeout(check, DEBOUNCE_MS);
      };
      const check = () => {
        const document = read(path);
        const fingerprint = JSON.stringify(document);
        if (fingerprint === last) {
          candidate = undefined;
          return;
        }
        // The file may be in the middle of a write: a change counts if two reads agree.
        if (last !== undefined && fingerprint !== candidate) {
          candidate = fingerprint;
          return debounce();
        }
        // A file is emptied by a killed editor or a full disk, not to request all defaults.
        handler(last === undefined ? document : unlessEmpty(document, path));
        last = fingerprint;
      };
      const watcher = watchFolder(path, debounce);
      const poll = setInterval(check, pollMs).unref();
      check();
      return {
        [Symbol.dispose]() {
          watcher?.close();
          clearTimeout(debouncing);
          clearInterval(poll);
        },
      };
    },
  };
}

function read(path: string): SourceState {
  try {
    return { text: readFileSync(path, 'utf8'), folder: dirname(path) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'does not exist' : `can't be read (${code})`;
    return {
      complaint: `the configuration file ${path} ${why}: create it, or set another with --config`,
    };
  }
}

function unlessEmpty(document: SourceState, path: string): SourceState {
  if (!('text' in document) || document.text.trim() !== '') return document;
  return { complaint: `the configuration file ${path} is empty: write its fields into it` };
}

function watchFolder(path: string, changed: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(dirname(path), (_kind, name) => {
      if (name === null || name === basename(path)) changed();
    });
    // The folder was deleted, or the system has no watches left: the poll continues.
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    return undefined;
  }
}
