import { archiveImported, type ImportResult, type importArchive } from '#proto/archive/archives.ts';
import type { ArchiveList } from '#proto/archive/list.ts';
import { clip } from '#proto/contract/clip.ts';
import { Fault, MAX_REASON_LENGTH } from '#proto/contract/fault.ts';
import { formatBytes } from '#proto/contract/quantity-text.ts';
import type { Static } from '#proto/contract/schema.ts';
import type { Audit } from '../../audit/audit.ts';
import { currentCaller, runAs } from '../../audit/caller-context.ts';
import type { SpaceGuard } from '../../content/space-guard.ts';
import { type Metadata, put } from '../../metadata/metadata.ts';
import type { PeerRecord } from '../../metadata/records.ts';
import type { ArchiveRun } from '../book/archive-run.ts';
import type { PeerBook } from '../book/peer-book.ts';
import { type CommitDeps, commitBlobs, putManifests } from './commit-content.ts';
import { type ExaminedSet, examineSet } from './examined-set.ts';
import type { FoundSet } from './found-sets.ts';
import { type MoveDeps, type MoveRules, moveTags } from './move-tags.ts';
import { recordAfter, takeRequests } from './peer-after-import.ts';
import type { SetContent } from './set-content.ts';
import { verdictOn } from './set-verdict.ts';

export type ImportDeps = CommitDeps &
  MoveDeps & { now: () => number; metadata: Metadata; space: SpaceGuard; book: PeerBook; audit: Audit };

/** The import of one set. */
export type OneImport = {
  set: FoundSet;
  /** All that may have content of it, or say what is missing. */
  sets: readonly FoundSet[];
  source: SetContent;
  query: Pick<Static<typeof importArchive.query>, 'dryRun' | 'newSender'>;
  rules: MoveRules;
  /** The sender may change only some repositories. */
  isLimited: boolean;
  /** About what does not count. */
  warnings: string[];
};

/**
 * Imports a set, or says why not. All of it is verified before anything is stored; content is stored before any tag
 * moves; all tags move in one batch, with the note that the set was imported. So a set that is refused, and one whose
 * import is killed, changes no tag; run again, the import uses what was stored.
 */
export async function importSet(deps: ImportDeps, run: ArchiveRun, one: OneImport): Promise<ImportResult> {
  const { metadata, book } = deps;
  const { set, query } = one;
  const { list } = set;
  let peer = await book.open(list.sender.layer);
  const verdict = verdictOn(set, peer, query.newSender ?? false);
  const base = baseOf(set, [...verdict.warnings, ...one.warnings], peer.imported);
  if (verdict.outcome === 'known') return { ...base, outcome: 'known' };
  if (verdict.outcome === 'refused') return { ...base, outcome: 'refused', problems: [verdict.problem] };
  if (!query.dryRun) peer = await takeRequests(deps, set, peer);
  const { imported } = peer;
  const hasRoom = (needed: number) => mustHaveRoom(deps.space, needed);
  const limitedSender = one.isLimited ? list.sender.layer : undefined;
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
  one: OneImport,
  { peer, examined, result }: { peer: PeerRecord; examined: ExaminedSet; result: ImportResult },
): Promise<NonNullable<ImportResult['tags']>> {
  const { audit, publish, book } = deps;
  const { set, source, rules } = one;
  const { sender, number, content, bytes } = result;
  const { needed } = examined;
  const importer = { ...currentCaller(), account: accountOf(sender) };
  const facts = { action: 'archive/import', subject: `${sender} ${number}` };
  const counts = (moved: NonNullable<ImportResult['tags']>) => ({ content, bytes, ...moved });
  const work = async () => {
    await commitBlobs(deps, source, needed, run);
    await putManifests(deps, source, needed.manifests, run, rules.arrived);
    run.begin('moving tags');
    await book.hasSent(sender, contentOf(one, examined, source));
    const peerAfter = (tags: NonNullable<ImportResult['tags']>) =>
      recordAfter(set, peer, { at: deps.now(), bytes, changed: changedBy(tags) });
    return moveTags(deps, set.list, { peerAfter, before: peer, rules });
  };
  const moved = await audit.change(facts, () => runAs(importer, work), counts);
  publish(archiveImported, { sender, number, content, bytes, ...moved });
  return moved;
}

const changedBy = ({ moved, deleted, conflicts }: NonNullable<ImportResult['tags']>): number =>
  moved + deleted + conflicts;

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

/**
 * What the sender has: what came from its sets, and what the set lists. The latter is not verified, so it does not
 * count if it would let the sender use content of other repositories.
 */
function contentOf(
  { set: { list }, isLimited }: OneImport,
  { needed }: ExaminedSet,
  source: SetContent,
): string[] {
  const manifests = needed.manifests.map(({ digest }) => digest);
  const found = [...needed.blobs, ...manifests].filter(
    (digest) => source.find(digest)?.set.list.sender.layer === list.sender.layer,
  );
  return isLimited ? found : [...new Set([...list.content.map(({ digest }) => digest), ...found])];
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

/** As whom an import changes tags. A name of at most 65 characters that ends with a letter or a digit. */
function accountOf(sender: string): string {
  const name = `_import.${sender}`.slice(0, 65);
  return name.endsWith('-') ? `${name.slice(0, -1)}0` : name;
}
