import type { StoredEvent } from '#proto/bus/events.ts';
import type { DeclaredAccount } from '#proto/document/declared-accounts.ts';
import type { WebhookPlace } from '#proto/status/webhooks.ts';
import type {
  AnnouncementRecord,
  BlobRecord,
  ChildRecord,
  CursorRecord,
  DamagedRecord,
  IngestRecord,
  ManifestRecord,
  MarkRecord,
  ParkedRecord,
  ReferrerRecord,
  ScopeMapRecord,
  StartsRecord,
  TokenRecord,
  TransferredRecord,
  UnsentRecord,
  WithdrawnRecord,
} from './records.ts';

/*
 * What is where, in LevelDB. Keys sort bytewise; `!` sorts before every character that names, tags and digests can
 * have, so the entries of one repository lie together and in order. Values are JSON.
 *
 *   b!<digest>                          BlobRecord      committed bytes: the file lies in the blob store
 *   r!<repository>                      {}              comes with the first link or manifest
 *   l!<repository>!<digest>             {}              the repository links the blob
 *   m!<repository>!<digest>             ManifestRecord  the repository has the manifest; links its bytes too
 *   f!<repository>!<subject>!<digest>   ReferrerRecord  the manifest `digest` refers to `subject`
 *   t!<repository>!<tag>                digest          what the tag points to
 *   s!<repository>!<tag>                digest          base: what it pointed to when parent and layer last agreed
 *   u!<repository>!<digest>             UnsentRecord    the parent is to be sent the manifest
 *   v!<repository>!<digest>             WithdrawnRecord the parent is to be told that the manifest was deleted
 *   p!<repository>!<tag or digest>      ParkedRecord    a change that the parent refused
 *   o!<repository>!<digest>             string          where the parent takes the rest of the blob; not synced
 *   n!<repository>!<digest>!<index>     string          the manifest of the index that is not brought: its platform
 *   g!<repository>                      MarkRecord      how the parent said that its repository is
 *   w!<digest>                          TransferredRecord  came over the link, and waits for the manifest that names it
 *   d!<digest>                          DamagedRecord   was committed, and its bytes turned out damaged or gone
 *   i!<id>                              IngestRecord    content being written; not synced, a power cut may undo it
 *   a!<token>                           TokenRecord
 *   c!<scope map>                       ScopeMapRecord
 *   h!<child>                           ChildRecord     the instance of a layer below that may synchronise
 *   j!<number>                          Entry           what layers below may want to hear of: see journal.ts
 *   k!signing                           base64url       what Bearer tokens of this layer are signed with
 *   e!<number>                          AnnouncementRecord  an event that the stream was not seen to have: see announcements.ts
 *   y!<webhook>                         WebhookPlace    how far it has been told; not synced
 *   x!version                           number          of this table
 *   x!parent                            string          the parent that bases are of; behind #, its last repair: see parent.ts
 *   x!repaired                          string          the last repair of these metadata
 *   x!cursor                            CursorRecord    how far in the parent's journal both agree
 *   x!history                           Told            the last event of storage that the bus was seen to have; not synced
 *   x!term                              number          the highest term handed out: see fence.ts
 *   x!instance                          uuid            which instance of a child this layer is, for the one above
 *   x!starts                            StartsRecord    the last starts of this layer, for the one above: see starts.ts
 *   x!declared                          DeclaredAccount[]  what the document last declared, for which secret files are read again
 *   x!closed                            true            accounts may have been lost: nobody is let in before there is a token
 *   x!boot                              string          the boot of the machine in which it was last opened
 *
 * Every visible change is one synced batch. The writer of `b!` and `d!` holds the lock of the blob, the writer of any
 * other visible key of content that of the repository, that of the accounts for `a!`, `c!` and `k!`,
 * of what is declared for `x!declared`,
 * that of the children for `h!` and `x!instance`.
 */

/** What a batch changes in metadata. */
export type Change = { type: 'put'; key: string; value: unknown } | { type: 'del'; key: string };

export const set = (key: string, value: unknown): Change => ({ type: 'put', key, value });
const del = (key: string): Change => ({ type: 'del', key });
const announced = (number: number) => `e!${String(number).padStart(16, '0')}`;

/**
 * Whether a batch of changes like this one may be written without a sync (`Metadata.note`). One that has any other
 * change is synced, which tells what was on the disk when a log turns out damaged.
 */
export function isNoted({ key, deleted }: { key: string; deleted: boolean }): boolean {
  const kind = key.slice(0, 2);
  if (kind === 'i!' || kind === 'o!' || kind === 'y!' || key === 'x!history') return true;
  return deleted ? kind === 'e!' || kind === 'w!' : kind === 'h!';
}

export const put = {
  blob: (digest: string, record: BlobRecord) => [set(`b!${digest}`, record), del(`d!${digest}`)],
  link: (repository: string, digest: string) => [
    set(`r!${repository}`, {}),
    set(`l!${repository}!${digest}`, {}),
  ],
  transferred: (digest: string, record: TransferredRecord) => [set(`w!${digest}`, record)],
  damaged: (digest: string, record: DamagedRecord) => [del(`b!${digest}`), set(`d!${digest}`, record)],
  manifest: (repository: string, digest: string, record: ManifestRecord) => [
    set(`r!${repository}`, {}),
    set(`m!${repository}!${digest}`, record),
  ],
  referrer: (repository: string, subject: string, digest: string, record: ReferrerRecord) => [
    set(`f!${repository}!${subject}!${digest}`, record),
  ],
  tag: (repository: string, tag: string, digest: string) => [set(`t!${repository}!${tag}`, digest)],
  base: (repository: string, tag: string, digest: string) => [set(`s!${repository}!${tag}`, digest)],
  unsent: (repository: string, digest: string, record: UnsentRecord) => [
    set(`u!${repository}!${digest}`, record),
  ],
  withdrawn: (repository: string, digest: string, record: WithdrawnRecord) => [
    set(`v!${repository}!${digest}`, record),
  ],
  parked: (repository: string, reference: string, record: ParkedRecord) => [
    set(`p!${repository}!${reference}`, record),
  ],
  session: (repository: string, digest: string, location: string) => [
    set(`o!${repository}!${digest}`, location),
  ],
  leftOut: (repository: string, digest: string, index: string, platform: string) => [
    set(`n!${repository}!${digest}!${index}`, platform),
  ],
  ingest: (id: string, record: IngestRecord) => [set(`i!${id}`, record)],
  token: (name: string, record: TokenRecord) => [set(`a!${name}`, record), del('x!closed')],
  scopeMap: (name: string, record: ScopeMapRecord) => [set(`c!${name}`, record)],
  child: (name: string, record: ChildRecord) => [set(`h!${name}`, record)],
  announcement: (number: number, record: AnnouncementRecord) => [set(announced(number), record)],
  webhook: (of: string, place: WebhookPlace) => [set(`y!${of}`, place)],
  instance: (instance: string) => [set('x!instance', instance)],
  starts: (record: StartsRecord) => [set('x!starts', record)],
  parent: (parent: string) => [set('x!parent', parent)],
  mark: (repository: string, record: MarkRecord) => [set(`g!${repository}`, record)],
  cursor: (record: CursorRecord) => [set('x!cursor', record)],
  declared: (accounts: DeclaredAccount[]) => [set('x!declared', accounts)],
  history: (told: StoredEvent) => [set('x!history', told)],
  term: (term: number) => [set('x!term', term)],
  signingKey: (key: string) => [set('k!signing', key)],
};

export const drop = {
  /** All that is known of the content itself. */
  blob: (digest: string) => [del(`b!${digest}`), del(`d!${digest}`), del(`w!${digest}`)],
  transferred: (digest: string) => [del(`w!${digest}`)],
  repository: (repository: string) => [del(`r!${repository}`)],
  /** With what is known of sending it: that ends, too. */
  link: (repository: string, digest: string) => [
    del(`l!${repository}!${digest}`),
    del(`o!${repository}!${digest}`),
  ],
  manifest: (repository: string, digest: string) => [del(`m!${repository}!${digest}`)],
  referrer: (repository: string, subject: string, digest: string) => [
    del(`f!${repository}!${subject}!${digest}`),
  ],
  tag: (repository: string, tag: string) => [del(`t!${repository}!${tag}`)],
  base: (repository: string, tag: string) => [del(`s!${repository}!${tag}`)],
  unsent: (repository: string, digest: string) => [del(`u!${repository}!${digest}`)],
  withdrawn: (repository: string, digest: string) => [del(`v!${repository}!${digest}`)],
  parked: (repository: string, reference: string) => [del(`p!${repository}!${reference}`)],
  session: (repository: string, digest: string) => [del(`o!${repository}!${digest}`)],
  leftOut: (repository: string, digest: string, index: string) => [del(`n!${repository}!${digest}!${index}`)],
  mark: (repository: string) => [del(`g!${repository}`)],
  ingest: (id: string) => [del(`i!${id}`)],
  token: (name: string) => [del(`a!${name}`)],
  child: (name: string) => [del(`h!${name}`)],
  announcement: (number: number) => [del(announced(number))],
  webhook: (of: string) => [del(`y!${of}`)],
  scopeMap: (name: string) => [del(`c!${name}`)],
};
