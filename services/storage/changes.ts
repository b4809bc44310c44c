import type {
  BlobRecord,
  DamagedRecord,
  IngestRecord,
  ManifestRecord,
  ParkedRecord,
  ReferrerRecord,
  ScopeMapRecord,
  TokenRecord,
  TransferredRecord,
  UnsentRecord,
  WithdrawnRecord,
} from './records.ts';

/** What a batch changes in metadata; the keys are those of `metadata.ts`. */
export type Change = { type: 'put'; key: string; value: unknown } | { type: 'del'; key: string };

export const set = (key: string, value: unknown): Change => ({ type: 'put', key, value });
const del = (key: string): Change => ({ type: 'del', key });

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
  token: (name: string, record: TokenRecord) => [set(`a!${name}`, record)],
  scopeMap: (name: string, record: ScopeMapRecord) => [set(`c!${name}`, record)],
  parent: (parent: string) => [set('x!parent', parent)],
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
  ingest: (id: string) => [del(`i!${id}`)],
  token: (name: string) => [del(`a!${name}`)],
  scopeMap: (name: string) => [del(`c!${name}`)],
};
