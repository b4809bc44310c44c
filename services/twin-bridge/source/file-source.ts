import { type FSWatcher, readFileSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { DocumentSource, Found } from './source.ts';

/** Some file systems (network shares, bind mounts) tell of no change: look now and then as well. */
const POLL_MS = 5_000;
/** An editor writes in several steps. */
const SETTLE_MS = 50;

/**
 * A YAML file that is read again when it changes. The folder is watched, not the file: an editor puts a new file
 * in the place of the old one, and the file may be missing for a while.
 */
export function fileSource(path: string, pollMs = POLL_MS): DocumentSource {
  return {
    name: path,
    watch(handler) {
      let last: string | undefined;
      let seen: string | undefined;
      let settling: NodeJS.Timeout | undefined;
      const settle = () => {
        clearTimeout(settling);
        settling = setTimeout(look, SETTLE_MS);
      };
      const look = () => {
        const found = read(path);
        const print = JSON.stringify(found);
        if (print === last) {
          seen = undefined;
          return;
        }
        // It may be written to just now: what is found twice counts.
        if (last !== undefined && print !== seen) {
          seen = print;
          return settle();
        }
        // Emptied, by an editor that was killed or a full disk: nobody asks for all defaults in that way.
        handler(last === undefined ? found : filled(found, path));
        last = print;
      };
      const watcher = watchFolder(path, settle);
      const poll = setInterval(look, pollMs).unref();
      look();
      return {
        [Symbol.dispose]() {
          watcher?.close();
          clearTimeout(settling);
          clearInterval(poll);
        },
      };
    },
  };
}

function read(path: string): Found {
  try {
    return { text: readFileSync(path, 'utf8'), folder: dirname(path) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'is not there' : `can't be read (${code})`;
    return {
      complaint: `the configuration file ${path} ${why}: put it there, or name another with --config`,
    };
  }
}

function filled(found: Found, path: string): Found {
  if (!('text' in found) || found.text.trim() !== '') return found;
  return { complaint: `the configuration file ${path} is empty: write its fields into it` };
}

function watchFolder(path: string, changed: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(dirname(path), (_kind, name) => {
      if (name === null || name === basename(path)) changed();
    });
    // The folder went away, or the system has no watches left: the poll goes on.
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    return undefined;
  }
}
