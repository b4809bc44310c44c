import type { DeltaRecord } from '#proto/content/deltas.ts';
import { claimTransfer, commitBlob } from '#proto/content/ingests.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import { type Header, STREAMS, writeHeader } from '#proto/delta/format/header.ts';
import { type Client, digestOf, random } from '../rig.ts';

export const app = 'line/app';

/** A delta to `to`. */
export const deltaTo = (to: string, from: string[], more: Partial<DeltaRecord> = {}): DeltaRecord => ({
  ...{ to, from, toSize: 1_000_000, format: DELTA_FORMAT, kind: 'gzip', cpuMs: 20 },
  ...more,
});

/** A digest of content that is nowhere. */
export const absent = (): string => digestOf(random(32));

export type DeltaSample = { digest: string; bytes: Uint8Array; delta: DeltaRecord; repository: string };

export function sampleDelta(
  to: string,
  from: string[],
  size = 100,
  more: Partial<DeltaRecord> = {},
): DeltaSample {
  const bytes = random(size);
  return { digest: digestOf(bytes), bytes, delta: deltaTo(to, from, more), repository: app };
}

/** The same with the header of a delta, and no content. */
export function sampleWithHeader(to: string, from: string[], more: Partial<DeltaRecord> = {}): DeltaSample {
  const delta = deltaTo(to, from, more);
  const stored = (digest: string, length: number) => ({
    length,
    sha256: Buffer.from(digest.slice(7), 'hex'),
  });
  const none = { length: 0, section: 0 };
  const bytes = writeHeader({
    target: stored(to, delta.toSize),
    bases: from.map((digest, i) => ({ ...stored(digest, 100 + i), isGzip: true })),
    streams: Object.fromEntries(STREAMS.map((name) => [name, none])) as Header['streams'],
  });
  return { digest: digestOf(bytes), bytes, delta, repository: app };
}

/** Writes the bytes of a delta into its ingest, as a transfer does. */
export async function transferDelta(client: Client, { digest, bytes, delta, repository }: DeltaSample) {
  const { by } = client;
  const claim = await client.call(claimTransfer, { digest, size: bytes.byteLength, by, repository, delta });
  await client.write(claim, bytes);
  return claim;
}

/** Transfers and commits a delta. @returns its digest */
export async function keepDelta(client: Client, sample: DeltaSample): Promise<string> {
  const { digest, delta } = sample;
  const { id, claim } = await transferDelta(client, sample);
  await client.call(commitBlob, { id, claim, digest, delta });
  return digest;
}
