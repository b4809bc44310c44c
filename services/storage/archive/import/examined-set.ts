import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MAX_MISSING_SETS } from '#proto/archive/list.ts';
import { listName, parityName, partName } from '#proto/archive/set-names.ts';
import { plural } from '#proto/contract/quantity-text.ts';
import type { BlobStore } from '../../content/blob-store.ts';
import type { MetadataReader } from '../../metadata/metadata-reader.ts';
import type { ImportedRecord } from '../../metadata/records.ts';
import type { ArchiveRun } from '../book/archive-run.ts';
import { rebuildParts } from '../parity/rebuild-parts.ts';
import type { FoundSet } from './found-sets.ts';
import { type NeededContent, neededContent } from './needed-content.ts';
import type { PartOfSet, SetContent } from './set-content.ts';
import { type BadPart, partsWith, verifyParts } from './verify-parts.ts';

/** Max sentences of one kind. */
const MAX_SENTENCES = 8;

/** What a set needs, and what is wrong with it. */
export type ExaminedSet = {
  needed: NeededContent;
  /** Why it can't be imported: sentences with remedies. */
  problems: string[];
  warnings: string[];
  /** Sets that the sender should send again. */
  missing: number[];
};

export type ExamineDeps = {
  metadata: MetadataReader;
  store: BlobStore;
  run: ArchiveRun;
  /** Throws if the data volume has no room for this many bytes. */
  mustHaveRoom: (bytes: number) => Promise<void>;
  /** See needed-content.ts. */
  limitedSender?: string | undefined;
};

/**
 * Finds out what the layer lacks of a set, and verifies all parts that have any of it. A part that turns out to be bad
 * does not matter if another set in the folder has the same content.
 * @param imported the last set of its sender
 */
export async function examineSet(
  deps: ExamineDeps,
  set: FoundSet,
  {
    source,
    sets,
    imported,
  }: { source: SetContent; sets: readonly FoundSet[]; imported: ImportedRecord | undefined },
): Promise<ExaminedSet> {
  const { metadata, store, run, limitedSender } = deps;
  const verified = new Set<string>();
  const rebuilds = new Rebuilds(deps, source);
  let bad: BadPart[] = [];
  for (;;) {
    run.begin('comparing with the layer');
    const needed = await neededContent({ metadata, store, source, run, limitedSender }, set.list);
    const wanted = partsWith(source, [
      ...needed.blobs,
      ...needed.manifests.flatMap(({ digest, isStored }) => (isStored ? [] : digest)),
    ]);
    const fresh = wanted.filter((part) => !verified.has(keyOf(part)));
    for (const part of fresh) verified.add(keyOf(part));
    const found = await verifyParts(source, fresh, run);
    for (const part of found) source.reject(part);
    bad = [...bad, ...found.slice(0, MAX_MISSING_SETS)];
    const listing = [...needed.lacking].flatMap((digest) => source.setsWith(digest));
    const rebuilt = await rebuilds.attempt([...found.map((part) => part.set), ...listing]);
    for (const part of rebuilt) verified.delete(keyOf(part));
    bad = bad.filter((part) => !rebuilt.some((one) => keyOf(one) === keyOf(part)));
    if (found.length > 0 || rebuilt.length > 0) continue;
    const isComplete = needed.lacking.size === 0 && needed.invalid.length === 0;
    const unused = await unusedParts(set, source, verified);
    const partSentences = some([...new Set([...bad.map(({ problem }) => problem), ...unused])]);
    if (isComplete) {
      const note = (text: string) => `${text}; everything in it is here already, or in another set`;
      return { needed, problems: [], warnings: [...rebuilds.notes, ...partSentences.map(note)], missing: [] };
    }
    const missing = missingSets(set, { sets, imported, bad: [...bad.map((part) => part.set), ...listing] });
    return { needed, problems: problemsOf(set, { needed, partSentences, missing }), warnings: [], missing };
  }
}

const keyOf = ({ set, index }: PartOfSet): string => `${set.name} ${index}`;

/** Computes bad parts again, of sets that have parity: once for each set. */
class Rebuilds {
  /** What was computed: sentences. */
  readonly notes: string[] = [];
  readonly #deps: ExamineDeps;
  readonly #source: SetContent;
  readonly #attempted = new Set<string>();

  constructor(deps: ExamineDeps, source: SetContent) {
    this.#deps = deps;
    this.#source = source;
  }

  /** @returns the parts that are good now */
  async attempt(sets: readonly FoundSet[]): Promise<PartOfSet[]> {
    const { store, run, mustHaveRoom } = this.#deps;
    const rebuilt: PartOfSet[] = [];
    for (const set of new Set(sets)) {
      if (!set.list.parity || this.#attempted.has(set.name)) continue;
      this.#attempted.add(set.name);
      await mustHaveRoom(set.list.parts.reduce((sum, { size }) => sum + size, 0));
      const paths = await rebuildParts({
        list: set.list,
        partPath: (index) => this.#source.pathOf({ set, index }),
        parityPath: (file) => join(set.folder, parityName(set.name, file)),
        newPath: () => store.stagingPath(),
        run,
      });
      for (const [index, path] of paths ?? []) {
        this.#source.replace({ set, index }, path);
        rebuilt.push({ set, index });
        this.notes.push(
          `${partName(set.name, index)} is missing or damaged, and was computed again from parity`,
        );
      }
    }
    return rebuilt;
  }
}

/** Parts of the set that were not read, and are missing or have another size. */
async function unusedParts(
  set: FoundSet,
  source: SetContent,
  verified: ReadonlySet<string>,
): Promise<string[]> {
  const wrong: string[] = [];
  for (const [index, { size }] of set.list.parts.entries()) {
    if (verified.has(keyOf({ set, index }))) continue;
    const stats = await stat(source.pathOf({ set, index })).catch(() => undefined);
    if (!stats) wrong.push(`${partName(set.name, index)} is missing`);
    else if (stats.size !== size) wrong.push(`${partName(set.name, index)} is damaged`);
  }
  return wrong;
}

/**
 * Sets whose content is taken as present by the sender, and that were neither imported nor are in the folder; and those
 * in the folder whose parts are missing or damaged.
 */
function missingSets(
  { list }: FoundSet,
  {
    sets,
    imported,
    bad,
  }: { sets: readonly FoundSet[]; imported: ImportedRecord | undefined; bad: readonly FoundSet[] },
): number[] {
  const isOfEpoch = (other: FoundSet) => other.list.sender.epoch === list.sender.epoch;
  const here = new Set(sets.filter(isOfEpoch).map((other) => other.list.number));
  const last = imported?.epoch === list.sender.epoch ? imported.number : 0;
  const numbers = new Set<number>();
  for (let number = last + 1; number <= list.since && numbers.size < MAX_MISSING_SETS; number += 1) {
    if (!here.has(number)) numbers.add(number);
  }
  for (const one of bad) if (isOfEpoch(one)) numbers.add(one.list.number);
  return [...numbers].sort((a, b) => a - b).slice(0, MAX_MISSING_SETS);
}

function problemsOf(
  { list, name }: FoundSet,
  { needed, partSentences, missing }: { needed: NeededContent; partSentences: string[]; missing: number[] },
): string[] {
  const { lacking, invalid } = needed;
  const since = missing.length > 0 ? (missing[0] as number) - 1 : 0;
  const command = `terrace export --to FOLDER --target ${list.target.name} --since ${since}`;
  const what = missing.length > 0 ? `what set ${ranges(missing)} had` : 'everything';
  const first = [...lacking].slice(0, 3).join(', ');
  const count = plural(lacking.size, 'blob or manifest is', 'blobs and manifests are');
  const lack = `${listName(name)}: ${count} neither here nor in the folder (${first}${lacking.size > 3 ? ', …' : ''}): copy the missing files here, or run "${command}" at ${list.sender.layer}, which sends ${what} again`;
  return [...partSentences, ...some(invalid), ...(lacking.size > 0 ? [lack] : [])];
}

function some(sentences: readonly string[]): string[] {
  if (sentences.length <= MAX_SENTENCES) return [...sentences];
  return [...sentences.slice(0, MAX_SENTENCES), `and ${sentences.length - MAX_SENTENCES} more`];
}

/** `3, 5-7` */
export function ranges(numbers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last && number === last[1] + 1) last[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(', ');
}
