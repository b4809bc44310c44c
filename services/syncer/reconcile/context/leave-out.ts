import type { LeftOutReferrer } from '#proto/content/left-out-referrers.ts';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { clip } from '#proto/contract/clip.ts';
import { Fault, MAX_REASON_LENGTH } from '#proto/contract/fault.ts';
import { type Digest, MAX_MEDIA_TYPE, type Repository, type Tag } from '#proto/oci/names.ts';
import type { LeftOutItem } from '#proto/sync/left-out.ts';
import { isTransient } from '../../link/answers/answers.ts';

/**
 * Which faults leave out a part of an image, and which fail it. Pure, but for the counts of `FailedParts`.
 *
 * A referrer never fails its image. An entry of an index does so only while its fault may pass by itself: a client that
 * pulls this platform would find it missing, although the image that the tag named before had it.
 */

/** Faults of the parent, or of what it sent. All others are of this layer, or end the pass. */
const OF_PARENT = [
  'manifest-unknown',
  'blob-unknown',
  'manifest-invalid',
  'manifest-blob-unknown',
  'digest-invalid',
  'size-invalid',
  'too-large',
  'parent-invalid',
  'parent-refused',
  'parent-unreachable',
  'busy',
] as const;

export const isOfParent = (error: unknown): error is Fault => Fault.is(error, ...OF_PARENT);

/** Whether the parent, or a proxy, has answered: the fault is not one of the link. */
export const isAnswered = (error: unknown): error is Fault =>
  isOfParent(error) && (!isTransient(error) || error.detail?.status !== undefined);

/** Statuses that may be those of a login rather than of the content. */
const OF_LOGIN = [401, 403];
/** Passes in which such an answer has to repeat before the entry is left out. */
const MIN_PASSES = 3;
/** Max parts whose failures are counted; one that failed long ago makes room. */
const MAX_PARTS = 10_000;

/** An entry of an index in one repository: another repository may have what this one lacks. */
export const partOf = (repository: Repository, digest: Digest): string => `${repository}@${digest}`;

/** A tag that the parent lists. */
export const taggedPart = (repository: Repository, tag: Tag): string => `${repository}:${tag}`;

/** Counts in how many passes a part of an image failed with an answer that may not last. */
export class FailedParts {
  readonly #passes = new BoundedMap<{ pass: string; count: number }>(MAX_PARTS);

  /**
   * Whether an entry of an index is left out because of the fault, which its download got in this pass.
   * @param part see `partOf`
   */
  isLeftOut(part: string, error: unknown, pass: string): error is Fault {
    if (!isOfParent(error) || error.code === 'busy' || error.code === 'too-large') return false;
    const { status } = error.detail ?? {};
    // An answer such as 502 may be that of a proxy. No answer at all is one of the link.
    const isFailing = error.code === 'parent-unreachable';
    if (isFailing && status === undefined) return false;
    if (!isFailing && !OF_LOGIN.includes(Number(status))) return true;
    return this.#count(part, pass) >= MIN_PASSES;
  }

  #count(part: string, pass: string): number {
    const known = this.#passes.get(part);
    const count = known?.pass === pass ? known.count : (known?.count ?? 0) + 1;
    this.#passes.set(part, { pass, count });
    return count;
  }
}

/** Each thing once: two indexes of an image may name the same child. */
export const distinct = (items: readonly LeftOutItem[]): LeftOutItem[] => [
  ...new Map(items.map((item, at) => [item.digest ? `${item.kind} ${item.digest}` : at, item])).values(),
];

const REMEDY: Record<LeftOutItem['kind'], string> = {
  referrer: 'push it again at the parent, or delete it there',
  referrers: 'permit the login to read referrers at the parent, or set referrers: false for this repository',
  tag: 'push the image again at the parent, or delete the tag there',
  child: 'push the image again at the parent, or restrict platforms for this repository',
};

/** What is left out, as far as it is known. */
type What = { [K in 'digest' | 'subject' | 'artifactType']?: LeftOutItem[K] | undefined };

/** @param fault its `detail.hasRemedy` is true if its message names a remedy of its own */
export const leftOutItem = (kind: LeftOutItem['kind'], fault: Fault, what: What = {}): LeftOutItem => ({
  kind,
  ...defined(what),
  code: fault.code,
  reason: clip(
    fault.detail?.hasRemedy ? fault.message : `${fault.message}: ${REMEDY[kind]}`,
    MAX_REASON_LENGTH,
  ),
});

const ABOVE = 'missing at a layer above: ';

/** What the parent, a Terrace, says that it has left out: the reason is that of the layer which found it. */
export const leftOutAbove = (
  { kind, digest, artifactType, code, reason }: LeftOutReferrer,
  subject?: Digest,
): LeftOutItem => ({
  kind,
  ...defined({ digest, subject, artifactType }),
  code,
  reason: clip(reason.startsWith(ABOVE) ? reason : ABOVE + reason, MAX_REASON_LENGTH),
});

const defined = ({ digest, subject, artifactType }: What): Pick<LeftOutItem, keyof What> => ({
  ...(digest !== undefined && { digest }),
  ...(subject !== undefined && { subject }),
  ...(artifactType !== undefined && { artifactType: clip(artifactType, MAX_MEDIA_TYPE) }),
});
