import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import type { Desired } from './desired.ts';

/** The last desired properties that were put in force: what a layer starts with while its hub is away. */
const Kept = Type.Object({ version: Type.Integer(), text: Type.String() });

export const lastGoodFile = (dataFolder: string): string => join(dataFolder, 'twin.json');

/** @returns undefined where there is none; one that is damaged counts as none */
export async function readLastGood(dataFolder: string): Promise<Desired | undefined> {
  try {
    const kept: unknown = JSON.parse(await readFile(lastGoodFile(dataFolder), 'utf8'));
    return Value.Check(Kept, kept) ? kept : undefined;
  } catch {
    return undefined;
  }
}

/** Whole or not at all, whenever the power fails. @throws what the file system says */
export async function keepLastGood(dataFolder: string, { version, text }: Desired): Promise<void> {
  const path = lastGoodFile(dataFolder);
  await mkdir(dirname(path), { recursive: true });
  const coming = `${path}.new`;
  await using file = await open(coming, 'w', 0o600);
  await file.writeFile(JSON.stringify({ version, text }));
  await file.sync();
  await rename(coming, path);
  await using folder = await open(dirname(path), 'r');
  await folder.sync();
}
