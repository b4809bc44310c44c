import { readFile, stat } from 'node:fs/promises';
import { archiveImported, type ImportResult, type importArchive } from '#proto/archive/archives.ts';
import type { ArchiveList } from '#proto/archive/list.ts';
import { isListOf } from '#proto/archive/set-names.ts';
import { MAX_KEY_BYTES } from '#proto/archive/signature.ts';
import { clip } from '#proto/contract/clip.ts';
import { Fault, MAX_REASON_LENGTH } from '#proto/contract/fault.ts';
import { formatBytes } from '#proto/contract/quantity-text.ts';
import type { Static } from '#proto/contract/schema.ts';
import { matchesPattern } from '#proto/oci/repository-pattern.ts';
import type { Audit } from '../../audit/audit.ts';
import { currentCaller, runAs } from '../../audit/caller-context.ts';
import type { SpaceGuard } from '../../content/space-guard.ts';
import { type Metadata, put } from '../../metadata/metadata.ts';
import type { PeerRecord } from '../../metadata/records.ts';
import type { ArchiveRun } from '../book/archive-run.ts';
import type { PeerBook } from '../book/peer-book.ts';
import { type CommitDeps, commitBlobs, putManifests } from './commit-content.ts';
import { type ExaminedSet, examineSet } from './examined-set.ts';
import { type FoundSet, findSets } from './found-sets.ts';
import { type MoveDeps, type MoveRules, moveTags } from './move-tags.ts';
import { recordAfter, takeRequests } from './peer-after-import.ts';
import { SetContent } from './set-content.ts';
import { verdictOn } from './set-verdict.ts';

export type ImportDeps = CommitDeps &
  MoveDeps & { metadata: Metadata; space: SpaceGuard; book: PeerBook; audit: Audit };
/** Which sets count; the others in the folder are ignored. */
export type ImportScope = {
  /** `undefined`: any. */
  sender: string | undefined;
  target: string;
  /** Of a set, what is in other repositories is ignored. */
  repositories: readonly string[];
};
export type ImportQuery = Omit<Static<typeof importArchive.query>, 'conflict'> & { scope?: ImportScope };
type ImportReply = Static<typeof importArchive.reply>;

/** Max senders of one folder. */
const MAX_SENDERS = 100;

/**
 * Imports the newest set of each sender in a folder. All of it is verified before anything is stored; content is stored
 * before any tag moves; all tags move in one batch, with the note that the set was imported. So a set that is refused,
 * and one whose import is killed, changes no tag; run again, the import uses what was stored.
 */
export async function importFolder(
  deps: ImportDeps,
  run: ArchiveRun,
  query: ImportQuery,
  rules: MoveRules,
): Promise<ImportReply> {
  const { folder, keyFiles, scope } = query;
  run.begin('reading lists');
  const counts = (file: string) => !scope || isListOf(file, scope);
  const found = await findSets(folder, await Promise.all(keyFiles.map(readKey)), counts);
  const { unusable } = found;
  const sets = scope ? found.sets.flatMap((set) => within(set, scope)) : found.sets;
  if (!scope && sets.length + unusable.length === 0) {
    throw new Fault('archive-invalid', `${folder} has no set: name the folder with the files of an export`);
  }
  const newest = newestBySender(sets);
  if (newest.length > MAX_SENDERS) {
    throw new Fault('archive-invalid', `${folder} has sets of ${newest.length} senders: import them apart`);
  }
  const results: ImportResult[] = [];
  for (const set of newest) {
    const others = inOrder(sets.filter((other) => other !== set));
    await using source = new SetContent([set, ...others]);
    results.push(await importSet(deps, run, { set, sets, source, query, rules }));
  }
  return { results, unusable: unusable.slice(0, 100).map(({ problem }) => clip(problem, MAX_REASON_LENGTH)) };
}

/** The set with what counts of it, if it counts. */
function within(set: FoundSet, { sender, target, repositories }: ImportScope): FoundSet[] {
  const { list } = set;
  if (list.target.name !== target || (sender !== undefined && list.sender.layer !== sender)) return [];
  const selected = list.repositories.filter(({ name }) => matchesPattern(repositories, name));
  return [{ ...set, list: { ...list, repositories: selected } }];
}

type OneImport = {
  set: FoundSet;
  /** All of the folder. */
  sets: readonly FoundSet[];
  source: SetContent;
  query: ImportQuery;
  rules: MoveRules;
};

async function importSet(deps: ImportDeps, run: ArchiveRun, one: OneImport): Promise<ImportResult> {
  const { metadata, book } = deps;
  const { set, query } = one;
  const { list } = set;
  let peer = await book.open(list.sender.layer);
  const verdict = verdictOn(set, peer, query.newSender ?? false);
  const base = baseOf(set, verdict.warnings, peer.imported);
  if (verdict.outcome === 'known') return { ...base, outcome: 'known' };
  if (verdict.outcome === 'refused') return { ...base, outcome: 'refused', problems: [verdict.problem] };
  if (!query.dryRun) peer = await takeRequests(deps, set, peer);
  const { imported } = peer;
  const hasRoom = (needed: number) => mustHaveRoom(deps.space, needed);
  const limitedSender = query.scope && one.rules.side === 'parent' ? list.sender.layer : undefined;
  const examined = await examineSet({ ...deps, run, mustHaveRoom: hasRoom, limitedSender }, set, {
    ...one,
    imported,
  });
  const { needed, problems, warnings, missing } = examined;
  const clipped = (texts: string[]) => texts.slice(0, 20).map((text) => clip(text, MAX_REASON_LENGTH));
  const result = {
    ...base,
    problems: clipped(problems),
    warnings: clipped([...base.warnings, ...warnings]),
    missing,
    ...figuresOf(examined, one.source),
  };
  if (problems.length > 0) {
    // The next set in the other direction carries the request.
    const lacking = [...needed.lacking];
    if (!query.dryRun && lacking.length > 0)
      await metadata.write(put.peer(list.sender.layer, { ...peer, missing, lacking }));
    return { ...result, outcome: 'refused' };
  }
  if (query.dryRun) return { ...result, outcome: 'verified' };
  await mustHaveRoom(deps.space, result.bytes);
  const tags = await applySet(deps, run, one, { peer, examined, result });
  return { ...result, outcome: 'imported', tags };
}

async function applySet(
  deps: ImportDeps,
  run: ArchiveRun,
  { set, source, rules }: OneImport,
  { peer, examined, result }: { peer: PeerRecord; examined: ExaminedSet; result: ImportResult },
): Promise<NonNullable<ImportResult['tags']>> {
  const { audit, publish, book } = deps;
  const { sender, number, content, bytes } = result;
  const { needed } = examined;
  const importer = { ...currentCaller(), account: accountOf(sender) };
  const facts = { action: 'archive/import', subject: `${sender} ${number}` };
  const counts = (moved: NonNullable<ImportResult['tags']>) => ({ content, bytes, ...moved });
  const work = async () => {
    await commitBlobs(deps, source, needed, run);
    await putManifests(deps, source, needed.manifests, run, rules.arrived);
    run.begin('moving tags');
    await book.hasSent(sender, contentOf(set, examined, source));
    return moveTags(deps, set.list, { peer: recordAfter(set, peer), before: peer, rules });
  };
  const moved = await audit.change(facts, () => runAs(importer, work), counts);
  publish(archiveImported, { sender, number, content, bytes, ...moved });
  return moved;
}

function baseOf(
  { list, signed }: FoundSet,
  warnings: string[],
  imported: PeerRecord['imported'],
): ImportResult {
  return {
    sender: list.sender.layer,
    target: list.target.name,
    number: list.number,
    outcome: 'refused',
    problems: [],
    warnings,
    missing: [],
    signed,
    news: hasNews(list, imported),
    content: 0,
    bytes: 0,
  };
}

/** An acknowledgement alone is no news: acknowledging it would never end. */
function hasNews({ sender, content, repositories }: ArchiveList, last: PeerRecord['imported']): boolean {
  if (sender.epoch !== last?.epoch || content.length > 0) return true;
  return repositories.some(({ tags }) => tags.some(({ mine }) => mine > last.number));
}

/** What the sender has for certain: what is in the set, and what came from others of it. */
function contentOf({ list }: FoundSet, { needed }: ExaminedSet, source: SetContent): string[] {
  const manifests = needed.manifests.map(({ digest }) => digest);
  const found = [...needed.blobs, ...manifests].filter(
    (digest) => source.find(digest)?.set.list.sender.layer === list.sender.layer,
  );
  return [...new Set([...list.content.map(({ digest }) => digest), ...found])];
}

function figuresOf({ needed }: ExaminedSet, source: SetContent): { content: number; bytes: number } {
  const manifests = new Set(needed.manifests.flatMap(({ digest, isStored }) => (isStored ? [] : digest)));
  const found = [...needed.blobs, ...manifests].flatMap((digest) => source.find(digest) ?? []);
  return { content: found.length, bytes: found.reduce((sum, { content }) => sum + content.size, 0) };
}

async function mustHaveRoom(space: SpaceGuard, bytes: number): Promise<void> {
  const { free, reserve } = await space.current();
  if (free - bytes >= reserve) return;
  throw new Fault(
    'no-space',
    `the data volume has ${formatBytes(free)} free, the set needs ${formatBytes(bytes)} and the reserve is ${formatBytes(reserve)}: delete unused content and collect garbage, or enlarge the volume`,
    { detail: { free, reserve } },
  );
}

/** The newest set of each sender: of its latest epoch, the one with the highest number. */
function newestBySender(sets: readonly FoundSet[]): FoundSet[] {
  const newest = new Map<string, FoundSet>();
  for (const set of inOrder(sets)) if (!newest.has(keyOf(set))) newest.set(keyOf(set), set);
  return [...newest.values()].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

const keyOf = ({ list }: FoundSet): string => `${list.sender.layer} ${list.target.name}`;

/** Newest first. */
const inOrder = (sets: readonly FoundSet[]): FoundSet[] =>
  [...sets].sort(({ list: a }, { list: b }) => b.sender.since - a.sender.since || b.number - a.number);

async function readKey(path: string): Promise<string> {
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isFile() && stats.size <= MAX_KEY_BYTES) return readFile(path, 'utf8');
  throw new Fault(
    'archive-invalid',
    `the key ${path} can't be read: name a file with a public key in PEM, as the layer sees it`,
  );
}

/** As whom an import changes tags. A name of at most 65 characters that ends with a letter or a digit. */
function accountOf(sender: string): string {
  const name = `_import.${sender}`.slice(0, 65);
  return name.endsWith('-') ? `${name.slice(0, -1)}0` : name;
}
