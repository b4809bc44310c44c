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

/** Keys of records. Pure. */
export const keys = {
  blob: (digest: string) => `b!${digest}`,
  repository: (repository: string) => `r!${repository}`,
  link: (repository: string, digest: string) => `l!${repository}!${digest}`,
  manifest: (repository: string, digest: string) => `m!${repository}!${digest}`,
  referrer: (repository: string, subject: string, digest: string) => `f!${repository}!${subject}!${digest}`,
  tag: (repository: string, tag: string) => `t!${repository}!${tag}`,
  base: (repository: string, tag: string) => `s!${repository}!${tag}`,
  unsent: (repository: string, digest: string) => `u!${repository}!${digest}`,
  withdrawn: (repository: string, digest: string) => `v!${repository}!${digest}`,
  parked: (repository: string, reference: string) => `p!${repository}!${reference}`,
  session: (repository: string, digest: string) => `o!${repository}!${digest}`,
  leftOut: (repository: string, digest: string, index: string) => `n!${repository}!${digest}!${index}`,
  mark: (repository: string) => `g!${repository}`,
  transferred: (digest: string) => `w!${digest}`,
  damaged: (digest: string) => `d!${digest}`,
  ingest: (id: string) => `i!${id}`,
  token: (name: string) => `a!${name}`,
  scopeMap: (name: string) => `c!${name}`,
  child: (child: string) => `h!${child}`,
  entry: (number: number) => `j!${String(number).padStart(14, '0')}`,
  announcement: (number: number) => `e!${String(number).padStart(16, '0')}`,
  webhook: (webhook: string) => `y!${webhook}`,
  signing: 'k!signing',
  version: 'x!version',
  parent: 'x!parent',
  repaired: 'x!repaired',
  cursor: 'x!cursor',
  history: 'x!history',
  term: 'x!term',
  instance: 'x!instance',
  starts: 'x!starts',
  declared: 'x!declared',
  closed: 'x!closed',
  boot: 'x!boot',
};

/** What a record is of: the letter that its key begins with. */
export const kinds = {
  blob: 'b',
  repository: 'r',
  link: 'l',
  manifest: 'm',
  referrer: 'f',
  tag: 't',
  base: 's',
  unsent: 'u',
  withdrawn: 'v',
  parked: 'p',
  session: 'o',
  leftOut: 'n',
  mark: 'g',
  transferred: 'w',
  damaged: 'd',
  ingest: 'i',
  token: 'a',
  scopeMap: 'c',
  child: 'h',
  entry: 'j',
  announcement: 'e',
  webhook: 'y',
} as const;
export type Kind = (typeof kinds)[keyof typeof kinds];

const known: ReadonlySet<string> = new Set(Object.values(kinds));

/** Undefined for keys of which there is one (`k!`, `x!`), and for what is no key. */
export const kindOf = (key: string): Kind | undefined =>
  key.charAt(1) === '!' && known.has(key.charAt(0)) ? (key.charAt(0) as Kind) : undefined;

/** What the keys of one kind begin with, or of those of them that have these first parts. */
export const prefix = (of: Kind, ...parts: string[]): string => `${[of, ...parts].join('!')}!`;

/** The range of keys that begin with a prefix: the character behind `!` ends it. */
export const rangeOf = (begin: string, after = ''): { gt: string; lt: string } => ({
  gt: begin + after,
  lt: `${begin.slice(0, -1)}"`,
});
