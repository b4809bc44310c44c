/*
 * The keys in LevelDB. Keys sort bytewise; `!` sorts before every character of names, tags and digests, so the entries
 * of one repository are contiguous and in order. Values are JSON.
 *
 *   b!<digest>                          BlobRecord      committed bytes; the file is in the blob store
 *   r!<repository>                      {}              the repository; put with its first link or manifest
 *   l!<repository>!<digest>             {}              the repository links the blob
 *   m!<repository>!<digest>             ManifestRecord  the repository has the manifest, which also links its bytes
 *   f!<repository>!<subject>!<digest>   ReferrerRecord  the manifest `digest` refers to `subject`
 *   t!<repository>!<tag>                digest          target of the tag
 *   T!<repository>!<tag>                TagOriginRecord where the target of the tag came from, and when
 *   s!<repository>!<tag>                digest          base: target of the tag when parent and layer last agreed
 *   P!<repository>!<tag>                SendingRecord   a pass moves or deletes the tag at the parent
 *   u!<repository>!<digest>             UnsentRecord    the manifest is to be sent to the parent
 *   v!<repository>!<digest>             WithdrawnRecord the deletion of the manifest is to be sent to the parent
 *   B!<repository>!<tag>                BehindRecord    the parent has another target of the tag
 *   C!<repository>                      UncomparedRecord  the last comparison of it with the parent failed
 *   p!<repository>!<tag or digest>      ParkedRecord    change that the parent refused
 *   o!<repository>!<digest>             string          `<location>[#<offset>]` of the upload at the parent; not synced
 *   n!<repository>!<digest>!<index>     string          platform of a manifest that the index leaves out
 *   q!<repository>!<subject>            LeftOutReferrersRecord  referrers of the subject that are left out
 *   g!<repository>                      MarkRecord      state of the parent's repository, as the parent reported it
 *   w!<digest>                          TransferredRecord  blob from the parent that waits for a manifest that names it
 *   L!<digest>                          KeptDelta       delta of this content digest: see ../deltas/deltas.ts
 *   F!<target>!<hash of the pair>       RefusedRecord   pair of bases and target without a delta; not synced
 *   d!<digest>                          DamagedRecord   committed, but its bytes are damaged or missing
 *   i!<id>                              IngestRecord    content being written; not synced, a power cut may revert it
 *   a!<token>                           TokenRecord
 *   c!<scope map>                       ScopeMapRecord
 *   h!<child>                           ChildRecord     the instance of a child that may synchronize
 *   E!<session>                         EndedSessionRecord  a person has logged out
 *   j!<number>                          JournalEntry    change for children: see journal.ts
 *   k!signing                           base64url       signing key of this layer's Bearer tokens
 *   e!<number>                          OutboxRecord    event in the outbox: see ../history/event-outbox.ts
 *   y!<webhook>                         WebhookPosition delivery position; not synced
 *   z!0                                 StoredCounts    the counters: see counters.ts
 *   A!<peer>                            PeerRecord      another side that gets archives: see ../archive/archives.ts
 *   S!<peer>!<number>                   SetRecord       a set that was exported for it
 *   D!<peer>!<digest>                   number          the set that carried the content
 *   G!<peer>!<repository>!<tag>         VersionRecord   version of the tag, see proto/sync/tag-versions.ts
 *   x!version                           number          version of this table
 *   x!parent                            string          `<parent>#<its last repair>#<renames, JSON>`: whose bases
 *                                                       these are, see ../sync/parent-record.ts
 *   x!repaired                          string          last repair of this metadata
 *   x!origins                           number          since when `T!` is written: see ../sync/tag-origins.ts
 *   x!cursor                            CursorRecord    position in the parent's journal up to which both agree
 *   x!pause                             LinkPause       the link to the parent is paused: see ../sync/pause-store.ts
 *   x!history                           StoredEvent     last event that the bus is known to have stored; not synced
 *   x!age                               AgeRecord       clock by which content ages: see age-clock.ts; not synced
 *   x!ages                              AgeMarks        when which events were the last: see ../history/history-age.ts;
 *                                                       not synced
 *   x!forwarding                        ForwardingRecord  how far the audit log is delivered to the syslog receiver: see
 *                                                       ../syslog/delivery.ts; not synced
 *   x!term                              number          highest term handed out: see ../content/fence.ts
 *   x!instance                          uuid            instance of this layer, for its parent
 *   x!archive                           ArchiveSettingsRecord  see ../archive/book/archive-settings.ts
 *   x!starts                            StartsRecord    last starts of this layer: see ../accounts/own-start.ts
 *   x!declared                          DeclaredAccount[]  last declared accounts; their secret files are polled
 *   x!closed                            true            accounts may be lost: nobody is admitted until a token exists
 *   x!boot                              string          boot id of the machine at the last opening
 *   x!backup                            BackupRecord    last backups: see ../backup/backups.ts
 *   x!restored                          RestoredRecord  the backup that this metadata was restored from
 *
 * Every visible change is one synced batch. Its writer holds a lock: the blob's for `b!`, `d!` and `L!`, the
 * repository's for any other visible key of content, `accounts` for `a!`, `c!` and `k!`, `declared` for `x!declared`,
 * `children` for `h!` and `x!instance`, `sessions` for `E!`. One export or import at a time writes `A!`, `S!`,
 * `D!` and `G!`.
 */

/** Keys of records. Pure. */
export const keys = {
  blob: (digest: string) => `b!${digest}`,
  repository: (repository: string) => `r!${repository}`,
  link: (repository: string, digest: string) => `l!${repository}!${digest}`,
  manifest: (repository: string, digest: string) => `m!${repository}!${digest}`,
  referrer: (repository: string, subject: string, digest: string) => `f!${repository}!${subject}!${digest}`,
  tag: (repository: string, tag: string) => `t!${repository}!${tag}`,
  tagOrigin: (repository: string, tag: string) => `T!${repository}!${tag}`,
  base: (repository: string, tag: string) => `s!${repository}!${tag}`,
  sending: (repository: string, tag: string) => `P!${repository}!${tag}`,
  unsent: (repository: string, digest: string) => `u!${repository}!${digest}`,
  withdrawn: (repository: string, digest: string) => `v!${repository}!${digest}`,
  behind: (repository: string, tag: string) => `B!${repository}!${tag}`,
  uncompared: (repository: string) => `C!${repository}`,
  parked: (repository: string, reference: string) => `p!${repository}!${reference}`,
  session: (repository: string, digest: string) => `o!${repository}!${digest}`,
  leftOut: (repository: string, digest: string, index: string) => `n!${repository}!${digest}!${index}`,
  leftOutReferrers: (repository: string, subject: string) => `q!${repository}!${subject}`,
  mark: (repository: string) => `g!${repository}`,
  transferred: (digest: string) => `w!${digest}`,
  delta: (digest: string) => `L!${digest}`,
  refusedDelta: (target: string, pair: string) => `F!${target}!${pair}`,
  damaged: (digest: string) => `d!${digest}`,
  ingest: (id: string) => `i!${id}`,
  token: (name: string) => `a!${name}`,
  scopeMap: (name: string) => `c!${name}`,
  child: (child: string) => `h!${child}`,
  endedSession: (id: string) => `E!${id}`,
  journalEntry: (number: number) => `j!${String(number).padStart(14, '0')}`,
  outbox: (number: number) => `e!${String(number).padStart(16, '0')}`,
  webhook: (webhook: string) => `y!${webhook}`,
  counters: 'z!0',
  peer: (peer: string) => `A!${peer}`,
  archiveSet: (peer: string, number: number) => `S!${peer}!${String(number).padStart(6, '0')}`,
  carried: (peer: string, digest: string) => `D!${peer}!${digest}`,
  tagVersion: (peer: string, repository: string, tag: string) => `G!${peer}!${repository}!${tag}`,
  signing: 'k!signing',
  version: 'x!version',
  parent: 'x!parent',
  repaired: 'x!repaired',
  originsSince: 'x!origins',
  cursor: 'x!cursor',
  pause: 'x!pause',
  history: 'x!history',
  age: 'x!age',
  ageMarks: 'x!ages',
  forwarding: 'x!forwarding',
  term: 'x!term',
  instance: 'x!instance',
  archiveSettings: 'x!archive',
  starts: 'x!starts',
  declared: 'x!declared',
  closed: 'x!closed',
  boot: 'x!boot',
  backup: 'x!backup',
  restored: 'x!restored',
};

/** Kinds of records: the first letter of the key. */
export const kinds = {
  blob: 'b',
  repository: 'r',
  link: 'l',
  manifest: 'm',
  referrer: 'f',
  tag: 't',
  tagOrigin: 'T',
  base: 's',
  sending: 'P',
  unsent: 'u',
  withdrawn: 'v',
  behind: 'B',
  uncompared: 'C',
  parked: 'p',
  session: 'o',
  leftOut: 'n',
  leftOutReferrers: 'q',
  mark: 'g',
  transferred: 'w',
  delta: 'L',
  refusedDelta: 'F',
  damaged: 'd',
  ingest: 'i',
  token: 'a',
  scopeMap: 'c',
  child: 'h',
  endedSession: 'E',
  journalEntry: 'j',
  outbox: 'e',
  webhook: 'y',
  counters: 'z',
  peer: 'A',
  archiveSet: 'S',
  carried: 'D',
  tagVersion: 'G',
} as const;
export type Kind = (typeof kinds)[keyof typeof kinds];

const known: ReadonlySet<string> = new Set(Object.values(kinds));

/** Undefined for single keys (`k!`, `x!`), and for a string that is not a key. */
export const kindOf = (key: string): Kind | undefined =>
  key.charAt(1) === '!' && known.has(key.charAt(0)) ? (key.charAt(0) as Kind) : undefined;

/** Prefix of the keys of one kind, limited to keys that have these first parts. */
export const prefix = (of: Kind, ...parts: string[]): string => `${[of, ...parts].join('!')}!`;

/** The range of keys that begin with a prefix. `"`, the successor of `!`, ends it. */
export const rangeOf = (begin: string, after = ''): { gt: string; lt: string } => ({
  gt: begin + after,
  lt: `${begin.slice(0, -1)}"`,
});
