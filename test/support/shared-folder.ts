import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';

/** A temporary folder for all tests of a file, deleted after them. @returns its absolute path */
export function sharedFolder(name: string): string {
  const path = mkdtempSync(join(tmpdir(), `terrace-${name}-`));
  after(() => rm(path, { recursive: true, force: true }));
  return path;
}
