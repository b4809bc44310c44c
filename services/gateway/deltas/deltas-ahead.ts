import type { Log } from '#proto/bus/bus.ts';
import type { BusCaller, InvalidationListener } from '#proto/bus/roles.ts';
import { tagMoved } from '#proto/content/content-events.ts';
import { findDeltas, MAX_HELD, MAX_WANTED } from '#proto/content/deltas.ts';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { Fault } from '#proto/contract/fault.ts';
import { isIndexType } from '#proto/oci/manifest.ts';
import type { Digest, Reference, Repository } from '#proto/oci/names.ts';
import { readManifest } from '#proto/oci/read-manifest.ts';
import type { DeltaQuestion } from '#proto/sync/delta-exchange.ts';
import type { MakeJob } from '#proto/sync/delta-jobs.ts';
import { makeJobFor } from '#proto/sync/make-delta-job.ts';
import type { Volume } from '#proto/volume/volume.ts';
import type { ContentCache } from '../content/content-cache.ts';
import { readManifestBytes } from '../content/open-content.ts';
import type { DeltaJobs } from './delta-jobs.ts';

/** How long children are expected to ask again after a question, in ms: some links are used once a week. */
const EXPECTED_MS = 14 * 24 * 60 * 60_000;
/** Max repositories whose questions are remembered, max images of each, and max layers of an image. */
const [MAX_REPOSITORIES, MAX_IMAGES, MAX_LAYERS] = [200, 4, 128];
/** Min size of a layer whose delta is made ahead, in bytes: a smaller one is made soon enough when it is asked for. */
const MIN_BYTES = 1024 * 1024;
/** Max images of an index, and max deltas of an image. */
const [MAX_CHILDREN, MAX_EACH] = [8, 8];
/** Max moved tags, and max jobs, that wait; and max jobs in the queue. */
const [MAX_MOVED, MAX_WAITING, MAX_SUBMITTED] = [32, 32, 2];

/** Layers of an image that a child asked about, and so will hold. */
type Asked = { layers: readonly Digest[]; at: number };
type Layer = { digest: Digest; size: number };

export type AheadDeps = {
  bus: BusCaller & InvalidationListener;
  volume: Volume;
  cache: ContentCache;
  jobs: DeltaJobs;
  patienceMs: number;
  log: Log;
  /** Elapsed time, in ms. */
  now?: () => number;
};

/**
 * Has deltas made before a child asks for them: when a tag moves in a repository of which a child asked for deltas
 * lately, to the content that it holds since. A child that does not ask, as it is an older Terrace or its link is fast,
 * causes no work. These jobs wait for those that a child waits for.
 */
export class DeltasAhead {
  readonly #deps: AheadDeps;
  readonly #now: () => number;
  readonly #asked = new BoundedMap<Asked[]>(MAX_REPOSITORIES);
  readonly #moved: { repository: Repository; digest: Digest }[] = [];
  #waiting: MakeJob[] = [];
  #isReading = false;
  #isSubmitting = false;

  constructor(deps: AheadDeps) {
    this.#deps = deps;
    this.#now = deps.now ?? (() => performance.now());
    deps.bus.onInvalidation(tagMoved, ({ repository, digest }) => {
      if (this.#heldIn(repository).length === 0 || this.#moved.length >= MAX_MOVED) return;
      this.#moved.push({ repository, digest });
      void this.#readMoved();
    });
    deps.jobs.onOutcome(() => void this.#submit());
  }

  /** To be called with each question of a child that may pull from its repository. */
  onQuestion({ repository, layers }: Pick<DeltaQuestion, 'repository' | 'layers'>): void {
    if (layers.length === 0) return;
    const image = { layers: layers.slice(0, MAX_LAYERS), at: this.#now() };
    const text = image.layers.join();
    const others = (this.#asked.get(repository) ?? []).filter((one) => one.layers.join() !== text);
    this.#asked.set(repository, [image, ...others].slice(0, MAX_IMAGES));
  }

  #heldIn(repository: Repository): Asked[] {
    if (!this.#deps.jobs.isEnabled) return [];
    const now = this.#now();
    return (this.#asked.get(repository) ?? []).filter(({ at }) => now - at < EXPECTED_MS);
  }

  async #readMoved(): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    for (let move = this.#moved.shift(); move; move = this.#moved.shift()) {
      const { repository, digest } = move;
      try {
        for (const layers of await this.#imagesOf(repository, digest))
          await this.#addJobs(repository, layers);
      } catch (err) {
        // The content may be deleted by now, or storage is down: the delta is made when it is asked for.
        this.#deps.log.debug({ err, repository, digest }, 'no deltas are made ahead for a tag');
      }
      await this.#submit();
    }
    this.#isReading = false;
  }

  /** Layers of the image, or of the images of an index. */
  async #imagesOf(repository: Repository, reference: Reference): Promise<Layer[][]> {
    const { blobs, manifests, mediaType } = await this.#read(repository, reference);
    if (!isIndexType(mediaType)) return [blobs];
    const images: Layer[][] = [];
    for (const { digest } of manifests.slice(0, MAX_CHILDREN)) {
      try {
        images.push((await this.#read(repository, digest)).blobs);
      } catch (error) {
        // A sparse index.
        if (!Fault.is(error, 'manifest-unknown')) throw error;
      }
    }
    return images;
  }

  async #read(repository: Repository, reference: Reference) {
    const { volume, cache } = this.#deps;
    const { bytes, place } = await readManifestBytes(volume, cache, repository, reference);
    return readManifest(typeof bytes === 'string' ? Buffer.from(bytes) : bytes, place.mediaType);
  }

  async #addJobs(repository: Repository, image: Layer[]): Promise<void> {
    const layers = image.map(({ digest }) => digest);
    const held = closestImage(layers, this.#heldIn(repository));
    if (!held) return;
    const has = new Set(held);
    const large = image.filter(({ digest, size }) => size >= MIN_BYTES && !has.has(digest));
    const targets = large.toSorted((a, b) => b.size - a.size).slice(0, Math.min(MAX_EACH, MAX_WANTED));
    if (targets.length === 0) return;
    const { bus, patienceMs } = this.#deps;
    const query = {
      repository,
      wanted: targets.map(({ digest }) => digest),
      held: held.slice(0, MAX_HELD),
    };
    const found = await bus.call(findDeltas, query, { patience: patienceMs });
    const here = new Set(found.deltas.map(({ to }) => to));
    // Any child that may pull the target may then pull the bases, too.
    const own = found.bases.filter(({ repositories }) => repositories.includes(repository));
    for (const { digest: to, size: toSize } of targets) {
      if (here.has(to) || this.#waiting.length >= MAX_WAITING) continue;
      if (this.#waiting.some((job) => job.to === to)) continue;
      const target = { repository, to, toSize, reason: 'ahead' as const };
      const job = makeJobFor(target, { layers, held: [held] }, { ...found, bases: own }, () => true);
      if (job) this.#waiting.push(job);
    }
  }

  async #submit(): Promise<void> {
    if (this.#isSubmitting) return;
    this.#isSubmitting = true;
    const { jobs, log } = this.#deps;
    try {
      while (jobs.countOf('asked') === 0 && jobs.countOf('ahead') < MAX_SUBMITTED) {
        const job = this.#waiting.shift();
        if (!job) break;
        await jobs.submit(job, 'ahead');
      }
    } catch (err) {
      log.debug({ err }, 'cannot submit jobs for deltas ahead; they are made when they are asked for');
      this.#waiting = [];
    }
    this.#isSubmitting = false;
  }
}

/** The image that shares the largest number of layers, the last one of those that were asked about. */
function closestImage(layers: readonly Digest[], images: readonly Asked[]): readonly Digest[] | undefined {
  const own = new Set(layers);
  const shared = (image: Asked) => image.layers.filter((digest) => own.has(digest)).length;
  return images.toSorted((a, b) => shared(b) - shared(a))[0]?.layers;
}
