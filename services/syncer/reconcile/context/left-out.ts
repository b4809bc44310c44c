import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import { type LeftOutItem, type LeftOutSummary, MAX_LISTED_LEFT_OUT } from '#proto/sync/left-out.ts';

/** An image whose content is counted: the target of a tag, or a manifest without one. */
export type CountedImage = { repository: Repository; digest: Digest; tag?: Tag | null | undefined };

/** `images`: the number of images that lack the items. `counts`: of all items. */
type Entry = {
  image: CountedImage;
  images: number;
  items: LeftOutItem[];
  counts: Counts;
};

/** Numbers of things that are left out. */
type Counts = { children: number; referrers: number; tags: number };

/** Max images that are remembered. Further ones are only counted, by a comparison of everything. */
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
  /** When everything was compared last; before the first time, when something was first left out. */
  #since: number | undefined;
  /** What an earlier coordinator had reported, until a comparison of everything has confirmed or refuted it. */
  #inherited: LeftOutSummary | undefined;
  /** Repositories whose names at the parent are not valid here. */
  #repositories: LeftOutSummary['repositories'];
  /** Images beyond `MAX_IMAGES`, and what they lack. */
  #further = { images: 0, ...NOTHING };

  constructor(inherited?: LeftOutSummary, now = () => performance.now()) {
    this.#inherited = inherited;
    this.#now = now;
  }

  /** Whether everything should be compared, since a pass that reads only changes would not ask for it again. */
  get isDue(): boolean {
    if (this.#inherited && this.#images === undefined) return true;
    const isAny = this.#entries.size > 0 || this.#inherited !== undefined;
    return isAny && this.#now() >= (this.#since ?? 0) + RECHECK_MS;
  }

  /** A pass begins. */
  begin(everything: boolean): void {
    this.#confirmed = everything ? new Set() : undefined;
    if (!everything) return;
    this.#further = { images: 0, ...NOTHING };
    this.#repositories = undefined;
  }

  /** Records repositories that the parent lists, and that can't be here. @param first names of the first ones */
  noteRepositories(first: string[], count: number): void {
    this.#repositories = count > 0 ? { count, first } : undefined;
  }

  /**
   * The pass has compared everything, and carried it out.
   * @param images number of images at the parent
   * @param hasFailed whether something failed in the repository: what it lacked before, it may lack still
   */
  completed(images: number, hasFailed: (repository: Repository) => boolean = () => false): void {
    const confirmed = this.#confirmed;
    if (!confirmed) return;
    for (const [key, { image }] of this.#entries)
      if (!confirmed.has(key) && !hasFailed(image.repository)) this.#entries.delete(key);
    if (!this.#inherited?.first.some(({ repository }) => hasFailed(repository))) this.#inherited = undefined;
    const isComplete = ![...this.#entries.values()].some(({ image }) => hasFailed(image.repository));
    if (isComplete || this.#images === undefined) this.#images = images;
    this.#since = this.#now();
    this.#confirmed = undefined;
  }

  /**
   * Records what an image lacks now, or what all images of a repository lack, or that a tag has no image (`digest` is
   * empty).
   * @param images how many these are; a pass that does not compare everything may see only some of them
   * @returns whether that is more, or other content, than before
   */
  replace(image: CountedImage, items: LeftOutItem[], images = 1): boolean {
    const key = keyOf(image);
    const before = this.#entries.get(key);
    if (items.length === 0) {
      this.#entries.delete(key);
      return false;
    }
    const counts = countsOf(items);
    if (!before && this.#entries.size >= MAX_IMAGES) {
      if (this.#confirmed && !this.#confirmed.has(key)) {
        this.#further = { images: this.#further.images + images, ...sum(this.#further, counts) };
      }
      this.#confirmed?.add(key);
      return false;
    }
    this.#since ??= this.#now();
    this.#confirmed?.add(key);
    this.#entries.set(key, {
      image: { ...image, tag: image.tag ?? before?.image.tag },
      images: this.#confirmed ? images : Math.max(images, before?.images ?? 0),
      items: items.slice(0, MAX_ITEMS),
      counts,
    });
    const known = new Set(before?.items.map(name));
    return items.slice(0, MAX_ITEMS).some((item) => !known.has(name(item)));
  }

  /** Whether the image lacks something. */
  has(image: CountedImage): boolean {
    return this.#entries.has(keyOf(image));
  }

  /** Images of the repository that lack something. */
  imagesOf(repository: Repository): Digest[] {
    return [...this.#entries.values()].flatMap(({ image }) =>
      image.repository === repository ? [image.digest] : [],
    );
  }

  /** @returns undefined if nothing is left out */
  summary(): LeftOutSummary | undefined {
    const repositories = this.#repositories;
    if (this.#entries.size === 0 && !repositories) return this.#inherited;
    const first: LeftOutSummary['first'] = [];
    let { images } = this.#further;
    let counts: Counts = this.#further;
    for (const entry of this.#entries.values()) {
      const { image, items } = entry;
      images += entry.images;
      counts = sum(counts, entry.counts);
      for (const item of items) {
        const { repository, tag, digest } = image;
        if (first.length < MAX_LISTED_LEFT_OUT) first.push({ repository, ...nameOf(tag, digest), ...item });
      }
    }
    const of = this.#images;
    const known = of === undefined ? {} : { of };
    const { referrers, children, tags } = counts;
    const all = { referrers, children, ...(tags > 0 && { tags }), ...(repositories && { repositories }) };
    return { images: Math.min(images, of ?? images), ...known, ...all, first };
  }
}

const nameOf = (tag: Tag | null | undefined, digest: Digest) => {
  const name = tag ?? digest;
  return name ? { tag: name } : {};
};
const keyOf = ({ repository, digest, tag }: CountedImage): string =>
  digest ? `${repository}@${digest}` : `${repository}:${tag ?? ''}`;

const NOTHING: Counts = { children: 0, referrers: 0, tags: 0 };

function countsOf(items: readonly LeftOutItem[]): Counts {
  const children = items.filter(({ kind }) => kind === 'child').length;
  const tags = items.filter(({ kind }) => kind === 'tag').length;
  return { children, tags, referrers: items.length - children - tags };
}

const sum = (one: Counts, other: Counts): Counts => ({
  children: one.children + other.children,
  referrers: one.referrers + other.referrers,
  tags: one.tags + other.tags,
});
const name = ({ kind, digest }: LeftOutItem): string => `${kind} ${digest ?? ''}`;
