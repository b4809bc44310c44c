import type { ReceivedEvent } from '#proto/contract/envelope.ts';
import { type Crossing, crossingBytes, savedBytes } from '#proto/sync/crossing.ts';
import type { Direction } from '#proto/sync/transfers.ts';
import { shortDigest } from '../terminal/figures.ts';
import { singleLines } from '../terminal/terminal.ts';
import { Rate } from './rate.ts';

/** Max images and transfers that are followed: of a pass with more at a time, the first ones. */
const MAX_IMAGES = 10_000;
const MAX_TRANSFERS = 50_000;

/** The fields that are read from events of passes and transfers; each event has some of them. */
export type PassFacts = {
  pass?: string;
  repository?: string;
  tag?: string | null;
  digest?: string;
  size?: number;
  present?: number;
  done?: number;
  bytes?: number;
  blobs?: number;
  largest?: string[];
  actions?: number;
  reason?: string;
  until?: number;
  retry?: number;
  direction?: Direction;
  winner?: string;
  loser?: string;
  loserTag?: string;
  delta?: Crossing['delta'];
  saved?: Crossing['saved'];
  held?: boolean;
};

/** Single lines, as some views write to the terminal without `print`. */
export const factsOf = ({ data }: Pick<ReceivedEvent<unknown>, 'data'>): PassFacts =>
  singleLines(data as PassFacts);

/** `line/web:2`, or with a digest for a manifest without a tag. */
export const imageName = ({ repository, tag, digest }: PassFacts): string =>
  `${repository}${tag ? `:${tag}` : `@${shortDigest(digest ?? '')}`}`;

/**
 * Progress of an image that is in transfer. `rate` in bytes a second, `leftMs` by it; absent while unknown. `saved`:
 * bytes of it that do not cross the link, as deltas do; they are not part of `bytes`.
 */
export type ImageProgress = {
  image: string;
  direction: Direction;
  bytes: number;
  done: number;
  saved?: number;
  rate?: number;
  leftMs?: number;
};

/** `planned`: actions of the pass. `open`: not all of them have begun, so more bytes will come. */
export type PassProgress = {
  images: ImageProgress[];
  total: { planned: number; finished: number; open: boolean } & Omit<ImageProgress, 'image' | 'direction'>;
};

type Image = Omit<ImageProgress, 'done' | 'saved' | 'rate' | 'leftMs'> & {
  pass: string | undefined;
  largest: string[];
  meter: Rate;
};

/**
 * Follows a pass by its events: which image has how much of its content at the far end. An event names the largest
 * blobs of its image; of further ones it is only known that they are there once the image is.
 */
export class ImageTracker {
  readonly #images = new Map<string, Image>();
  /** By direction and digest of the blob: bytes at the far end, and those that a delta saves. */
  readonly #transfers = new Map<string, { done: number; saved: number }>();
  readonly #meter = new Rate();
  /** Bytes of which it was seen that they crossed the link. */
  #moved = 0;
  #planned = 0;
  #begun = 0;
  #finished = 0;
  #ended = { bytes: 0, saved: 0 };

  /** @returns an image that has ended with this event, with its bytes that crossed the link */
  apply(type: string, facts: PassFacts): ImageProgress | undefined {
    const { direction = 'down', repository, digest = '', bytes = 0, largest = [] } = facts;
    const image = `${direction} ${repository} ${digest} ${facts.tag ?? ''}`;
    const blob = `${direction} ${digest}`;
    switch (type.replace(/^terrace\./, '')) {
      case 'pass.started':
        // A pass for changes of clients may run beside one that takes hours.
        if (this.#images.size === 0) this.#clear();
        return undefined;
      case 'pass.finished':
        for (const [key, { pass }] of this.#images) if (pass === facts.pass) this.#images.delete(key);
        return undefined;
      case 'pass.planned':
        this.#planned += facts.actions ?? 0;
        return undefined;
      case 'image.started':
        this.#begun += 1;
        if (this.#images.size >= MAX_IMAGES) return undefined;
        this.#images.set(image, {
          ...{ image: imageName(facts), direction, bytes, largest, pass: facts.pass },
          meter: new Rate(),
        });
        return undefined;
      case 'image.finished':
      case 'image.failed':
        return this.#end(image);
      case 'transfer.started':
        this.#reached(blob, facts, facts.present ?? 0);
        return undefined;
      case 'transfer.progressed':
        this.#reached(blob, facts, facts.done ?? 0);
        return undefined;
      case 'transfer.finished':
        // One that was there already may have come by a delta before.
        if (!facts.held || !this.#transfers.has(blob))
          this.#reached(blob, facts, crossingBytes(crossingOf(facts)));
        return undefined;
      default:
        return undefined;
    }
  }

  /** @param now in ms, by any clock */
  progress(now: number): PassProgress {
    const images = [...this.#images.values()].map((image) => this.#of(image, now));
    const sum = (count: (image: ImageProgress) => number, ended: number) =>
      images.reduce((total, image) => total + count(image), ended);
    const bytes = sum((image) => image.bytes, this.#ended.bytes);
    const done = sum((image) => image.done, this.#ended.bytes);
    const saved = sum((image) => image.saved ?? 0, this.#ended.saved);
    const total = {
      bytes,
      done,
      ...(saved > 0 && { saved }),
      ...estimate(this.#meter.at(this.#moved, now), bytes - done),
    };
    const open = this.#begun < this.#planned;
    return { images, total: { planned: this.#planned, finished: this.#finished, open, ...total } };
  }

  #of(image: Image, now: number): ImageProgress {
    const crossed = this.#crossed(image);
    return { ...crossed, ...estimate(image.meter.at(crossed.done, now), crossed.bytes - crossed.done) };
  }

  #crossed({ image, direction, bytes: all, largest }: Image): ImageProgress {
    const blobs = largest.flatMap((blob) => this.#transfers.get(`${direction} ${blob}`) ?? []);
    const saved = Math.min(
      all,
      blobs.reduce((sum, blob) => sum + blob.saved, 0),
    );
    const reached = blobs.reduce((sum, blob) => sum + blob.done, 0);
    const bytes = all - saved;
    return { image, direction, bytes, done: Math.min(bytes, reached), ...(saved > 0 && { saved }) };
  }

  #reached(blob: string, facts: PassFacts, done: number): void {
    const before = this.#transfers.get(blob);
    if (before !== undefined) this.#moved += Math.max(0, done - before.done);
    if (before === undefined && this.#transfers.size >= MAX_TRANSFERS) return;
    this.#transfers.set(blob, { done, saved: savedBytes(crossingOf(facts)) });
  }

  #end(key: string): ImageProgress | undefined {
    const image = this.#images.get(key);
    this.#images.delete(key);
    this.#finished += 1;
    if (!image) return undefined;
    const { bytes, saved = 0, ...rest } = this.#crossed(image);
    this.#ended.bytes += bytes;
    this.#ended.saved += saved;
    return { ...rest, bytes, done: bytes, ...(saved > 0 && { saved }) };
  }

  #clear(): void {
    this.#images.clear();
    this.#transfers.clear();
    this.#planned = this.#begun = this.#finished = this.#ended.bytes = 0;
    this.#ended.saved = 0;
  }
}

const crossingOf = ({ size = 0, delta, saved }: PassFacts): Crossing => ({ size, delta, saved });

function estimate(rate: number | undefined, left: number): { rate?: number; leftMs?: number } {
  if (rate === undefined) return {};
  return { rate: Math.round(rate), leftMs: Math.round((left / rate) * 1_000) };
}
