import type { ImportResult, importArchive } from '#proto/archive/archives.ts';
import { isListOf } from '#proto/archive/set-names.ts';
import { clip } from '#proto/contract/clip.ts';
import { Fault, MAX_REASON_LENGTH } from '#proto/contract/fault.ts';
import type { Static } from '#proto/contract/schema.ts';
import { matchesPattern } from '#proto/oci/repository-pattern.ts';
import type { ArchiveRun } from '../book/archive-run.ts';
import { type FoundSet, type PageLimits, pagesOfLists, readSets } from './found-sets.ts';
import { ImportReport, senderOf } from './import-report.ts';
import { type ImportDeps, importSet, type OneImport } from './import-set.ts';
import { type ListKeys, Signatures } from './list-keys.ts';
import type { SenderRules } from './sender-rules.ts';
import { SetContent } from './set-content.ts';

export type ImportQuery = Pick<Static<typeof importArchive.query>, 'folder' | 'dryRun' | 'newSender'> & {
  keys: ListKeys;
  rulesOf: (sender: string) => SenderRules;
  /** Which sets count, others in the folder are ignored. `sender` is undefined: of any. */
  scope?: { sender: string | undefined; target: string };
  page?: PageLimits;
};

/**
 * Imports the newest set of each sender in a folder. Of more sets than memory has room for, a page is imported after
 * the other, the oldest first: what the newest set of a page needs of earlier ones is stored by then.
 * @param onResult is called for each set that is imported, or is not, after its page
 */
export async function importFolder(
  deps: ImportDeps,
  run: ArchiveRun,
  query: ImportQuery,
  onResult: (result: ImportResult) => Promise<void> = async () => {},
): Promise<Static<typeof importArchive.reply>> {
  const { folder, keys, scope, dryRun, page } = query;
  run.begin('reading lists');
  const signatures = await Signatures.open(keys);
  const pages = await pagesOfLists(folder, (file) => !scope || isListOf(file, scope), page);
  if (!scope && pages.length === 0) {
    throw new Fault('archive-invalid', `${folder} has no set: name the folder with the files of an export`);
  }
  const report = new ImportReport(folder);
  // What a later page needs may be in an earlier one, which is not stored.
  for (const files of dryRun ? pages.slice(0, 1) : pages) {
    run.begin('reading lists');
    const { sets, unusable } = await readSets(folder, files, signatures);
    report.addUnusable(unusable);
    const counting = scope ? sets.filter((set) => isWithin(set, scope)) : sets;
    const done: ImportResult[] = [];
    for (const set of report.latest(newestBySender(counting))) {
      const result = await importOne(deps, run, { set, sets: counting, query });
      const isPart = dryRun && pages.length > 1;
      const note = `only the first ${files.length} sets were verified: import them, or fewer at a time`;
      report.add(set, isPart ? { ...result, warnings: [note, ...result.warnings].slice(0, 20) } : result);
      done.push(result);
    }
    // Not before: another sender's set may need content of these.
    for (const result of done) await onResult(result);
  }
  return report.reply;
}

/** @param sets that count, of the page */
async function importOne(
  deps: ImportDeps,
  run: ArchiveRun,
  { set, sets, query }: { set: FoundSet; sets: readonly FoundSet[]; query: ImportQuery },
): Promise<ImportResult> {
  const scoped = within(set, query.rulesOf(set.list.sender.layer));
  // Content of another sender is not for one that may read only some repositories.
  const mayUse = (other: FoundSet) => !scoped.isLimited || other.list.sender.layer === set.list.sender.layer;
  const others = inOrder(sets.filter((other) => other !== set && mayUse(other)));
  await using source = new SetContent([set, ...others]);
  return await importSet(deps, run, { ...scoped, sets, source, query });
}

const isWithin = ({ list }: FoundSet, { sender, target }: NonNullable<ImportQuery['scope']>): boolean =>
  list.target.name === target && (sender === undefined || list.sender.layer === sender);

/** The set with the repositories that count. */
function within(
  set: FoundSet,
  { rules, repositories, warning }: SenderRules,
): Pick<OneImport, 'set' | 'rules' | 'isLimited' | 'warnings'> {
  if (!repositories) return { set, rules, isLimited: false, warnings: [] };
  const { list } = set;
  const selected = list.repositories.filter(({ name }) => matchesPattern(repositories, name));
  const others = list.repositories.flatMap(({ name }) => (matchesPattern(repositories, name) ? [] : name));
  return {
    set: { ...set, list: { ...list, repositories: selected } },
    rules,
    isLimited: rules.side === 'parent',
    warnings: warning && others.length > 0 ? [clip(warning(set, others), MAX_REASON_LENGTH)] : [],
  };
}

/** The newest set of each sender: of its latest epoch, the one with the highest number. */
function newestBySender(sets: readonly FoundSet[]): FoundSet[] {
  const newest = new Map<string, FoundSet>();
  for (const set of inOrder(sets)) if (!newest.has(senderOf(set))) newest.set(senderOf(set), set);
  return [...newest.values()].sort((a, b) => (senderOf(a) < senderOf(b) ? -1 : 1));
}

/** Newest first. */
const inOrder = (sets: readonly FoundSet[]): FoundSet[] =>
  [...sets].sort(({ list: a }, { list: b }) => b.sender.since - a.sender.since || b.number - a.number);
