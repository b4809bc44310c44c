import {
  archiveProgress,
  exportArchive,
  forgetArchive,
  importArchive,
  listArchives,
  stopArchive,
} from '#proto/archive/archives.ts';
import type { On } from './on.ts';
import type { Storage } from './storage.ts';

/** Answers the requests of `proto/archive/archives.ts`. */
export function serveArchives(on: On, { archives }: Storage): void {
  on(exportArchive, (q) => archives.export(q));
  on(importArchive, (q) => archives.import(q));
  on(archiveProgress, () => archives.progress());
  on(stopArchive, async () => {
    archives.stop();
    return {};
  });
  on(listArchives, (q) => archives.list(q.target));
  on(forgetArchive, (q) => archives.forget(q));
}
