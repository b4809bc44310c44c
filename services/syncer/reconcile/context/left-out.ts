import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import { type LeftOutItem, type LeftOutSummary, MAX_LISTED_LEFT_OUT } from '#proto/sync/left-out.ts';

/** An image whose content is counted: the target of a tag, or a manifest without one. */
export type CountedImage = { repository: Repository; digest: Digest; tag?: Tag | null | undefined };

/** `images`: the number of images that lack the items. */
type Entry = { image: CountedImage; images: number; items: LeftOutItem[] };

/** Max images that are remembered. Of further ones, only the number is kept until the next complete comparison. */
const MAX_IMAGES = 10_000;
/** Max items of one image that are remembered; further ones are only counted. */
const MAX_ITEMS = 100;
/** Interval at which everything is compared again while something is left out, in ms. */
const RECHECK_MS = 15 * 60_000;

/**
 * What the layer lacks of the images that it has (`proto/sync/left-out.ts`), as the passes of a term have found it. A
 * pass that compares everything confirms each entry; any other pass changes only those of the images that it visits.
 */
export class LeftOutContent {
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry>();
  /** Keys that the running comparison of everything has confirmed. */
  #confirmed: Set<string> | undefined;
  #images: number | undefined;
  /** When everything was compared last; undefined before the first time. */
  #comparedAt: number | undefined;
  /** An earlier coordinator had reported that something is left out. */
  readonly #isInherited: boolean;

  constructor(isInherited = false, now = () => performance.now()) {
    this.#isInherited = isInherited;
    this.#now = now;
  }

  /** Whether everything should be compared, since a pass that reads only changes would not ask for it again. */
  get isDue(): boolean {
    if (this.#comparedAt === undefined) return this.#isInherited;
    return this.#entries.size > 0 && this.#now() >= this.#comparedAt + RECHECK_MS;
  }

  /** A pass begins. */
  begin(everything: boolean): void {
    this.#confirmed = everything ? new Set() : undefined;
  }

  /** The pass has compared everything, and carried it out. @param images number of images at the parent */
  completed(images: number): void {
    const confirmed = this.#confirmed;
    if (!confirmed) return;
    for (const key of this.#entries.keys()) if (!confirmed.has(key)) this.#entries.delete(key);
    this.#images = images;
    this.#comparedAt = this.#now();
    this.#confirmed = undefined;
  }

  /**
   * Records what an image lacks now, or what all images of a repository lack (`digest` is empty).
   * @param images how many these are
   * @returns whether that is more, or other content, than before
   */
  replace(image: CountedImage, items: LeftOutItem[], images = 1): boolean {
    const key = keyOf(image);
    const before = this.#entries.get(key);
    if (items.length === 0) {
      this.#entries.delete(key);
      return false;
    }
    this.#confirmed?.add(key);
    if (!before && this.#entries.size >= MAX_IMAGES) return true;
    this.#entries.set(key, {
      image: { ...image, tag: image.tag ?? before?.image.tag },
      images,
      items: items.slice(0, MAX_ITEMS),
    });
    const known = new Set(before?.items.map(name));
    return items.slice(0, MAX_ITEMS).some((item) => !known.has(name(item)));
  }

  /** The image still lacks what it lacked: it is not asked for in this pass. */
  keep(image: CountedImage): void {
    if (this.#entries.has(keyOf(image))) this.#confirmed?.add(keyOf(image));
  }

  /** Images of the repository that lack something. */
  imagesOf(repository: Repository): Digest[] {
    return [...this.#entries.values()].flatMap(({ image }) =>
      image.repository === repository ? [image.digest] : [],
    );
  }

  /** @returns undefined if nothing is left out */
  summary(): LeftOutSummary | undefined {
    if (this.#entries.size === 0) return undefined;
    const first: LeftOutSummary['first'] = [];
    let referrers = 0;
    let children = 0;
    let images = 0;
    for (const { image, images: count, items } of this.#entries.values()) {
      images += count;
      for (const item of items) {
        if (item.kind === 'child') children += 1;
        else referrers += 1;
        const { repository, tag, digest } = image;
        if (first.length < MAX_LISTED_LEFT_OUT) first.push({ repository, ...nameOf(tag, digest), ...item });
      }
    }
    const of = this.#images;
    const known = of === undefined ? {} : { of };
    return { images: Math.min(images, of ?? images), ...known, referrers, children, first };
  }
}

const nameOf = (tag: Tag | null | undefined, digest: Digest) => {
  const name = tag ?? digest;
  return name ? { tag: name } : {};
};
const keyOf = ({ repository, digest }: CountedImage): string => `${repository}@${digest}`;
const name = ({ kind, digest }: LeftOutItem): string => `${kind} ${digest ?? ''}`;
