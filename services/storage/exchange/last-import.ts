import type { ExchangeStatus } from '#proto/status/archive-exchange.ts';
import type { MetadataReader } from '../metadata/metadata-reader.ts';
import type { PeerRecord } from '../metadata/records.ts';

export type LastImport = NonNullable<NonNullable<ExchangeStatus['inbox']>['last']>;

/**
 * The last set of a layer that was imported, from its inbox or by hand, as the records have it.
 * @param peer undefined: of any layer that is not in `others`
 */
export async function lastImport(
  metadata: Pick<MetadataReader, 'peer' | 'peers'>,
  peer: string | undefined,
  others: ReadonlySet<string>,
): Promise<LastImport | undefined> {
  if (peer !== undefined) return lastOf(await metadata.peer(peer));
  let latest: LastImport | undefined;
  for await (const [name, record] of metadata.peers()) {
    const last = others.has(name) ? undefined : lastOf(record);
    if (last && last.at >= (latest?.at ?? 0)) latest = last;
  }
  return latest;
}

/** Undefined also for a record of a version that did not record the time. */
function lastOf(record: PeerRecord | undefined): LastImport | undefined {
  const { number, at, bytes = 0, changed = 0 } = record?.imported ?? {};
  return number === undefined || at === undefined ? undefined : { number, at, bytes, changed };
}
