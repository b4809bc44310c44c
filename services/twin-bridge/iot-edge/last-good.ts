import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Type } from '#proto/contract/schema.ts';
import { matches } from '#proto/contract/schema-check.ts';
import { LAST_TWIN } from '#proto/volume/layout.ts';
import type { Desired } from './desired.ts';

/** The last desired properties in force: a layer starts with them while its hub is unreachable. */
const Stored = Type.Object({ version: Type.Integer(), text: Type.String() });

export const lastGoodFile = (dataFolder: string): string => join(dataFolder, LAST_TWIN);

/** @returns undefined if the file is missing or damaged */
export async function readLastGood(dataFolder: string): Promise<Desired | undefined> {
  try {
    const stored: unknown = JSON.parse(await readFile(lastGoodFile(dataFolder), 'utf8'));
    return matches(Stored, stored) ? stored : undefined;
  } catch {
    return undefined;
  }
}

/** Written completely or not at all, even if the power fails. @throws errors of the file system */
export async function storeLastGood(dataFolder: string, { version, text }: Desired): Promise<void> {
  const path = lastGoodFile(dataFolder);
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.new`;
  await using file = await open(temporary, 'w', 0o600);
  await file.writeFile(JSON.stringify({ version, text }));
  await file.sync();
  await rename(temporary, path);
  await using folder = await open(dirname(path), 'r');
  await folder.sync();
}
