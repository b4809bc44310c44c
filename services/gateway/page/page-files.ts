import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';

/**
 * The page of the layer at `/ui/`, as static files: this file reads what page/build.ts has built, and page-routes.ts
 * serves it. Its data come from the operator's API.
 */

/** Where the build puts it. */
export const BUILT = join(import.meta.dirname, 'built');

/** Bounds of what is kept in memory. */
const MAX_FILES = 40;
const MAX_FILE_BYTES = 2 * 1024 * 1024;

/** `packed`: with gzip, if that is smaller. */
export type PageFile = { type: string; bytes: Buffer; packed?: Buffer; digest: string };

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.woff2': 'font/woff2',
};

/** Answered in place of the page if it was not built. */
const NOT_BUILT: PageFile = pageFile(
  '.html',
  Buffer.from(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Terrace</title>
<h1>The page of this layer is not built</h1>
<p>Build it in the folder of Terrace with <code>npm ci</code>, which needs the development packages, or with
<code>node page/build.ts</code>; then restart the layer. Everything else works without it: <code>terrace status</code>,
the API and all clients.</p>
</html>
`),
);

/** All files by name. A folder without a complete build has only `index.html`, which says how to build it. */
export async function readPageFiles(folder = BUILT): Promise<Map<string, PageFile>> {
  const names = await readdir(folder).catch(() => []);
  const served = names.filter((name) => TYPES[extname(name)]).slice(0, MAX_FILES);
  const files = await Promise.all(
    served.map(async (name) => [name, await readPageFile(folder, name)] as const),
  );
  const found = new Map(files.flatMap(([name, file]) => (file ? [[name, file]] : [])));
  return found.has('index.html') ? found : new Map([['index.html', NOT_BUILT]]);
}

async function readPageFile(folder: string, name: string): Promise<PageFile | undefined> {
  const bytes = await readBounded(join(folder, name));
  const packed = await readBounded(join(folder, `${name}.gz`));
  return bytes && pageFile(extname(name), bytes, packed);
}

function pageFile(extension: string, bytes: Buffer, packed?: Buffer): PageFile {
  const digest = createHash('sha256').update(bytes).digest('base64url').slice(0, 22);
  return { type: TYPES[extension] as string, bytes, digest, ...(packed && { packed }) };
}

async function readBounded(path: string): Promise<Buffer | undefined> {
  const bytes = await readFile(path).catch(() => undefined);
  return bytes && bytes.length <= MAX_FILE_BYTES ? bytes : undefined;
}
