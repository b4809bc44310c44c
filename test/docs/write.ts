import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pages } from './pages.ts';

/** Writes the generated documents: `npm run docs`. */

const root = join(import.meta.dirname, '../..');
for (const [path, pageOf] of Object.entries(pages)) {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), pageOf());
}
