import type { ReceivedEvent } from '#proto/contract/envelope.ts';
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
};

/** Single lines, as some views write to the terminal without `print`. */
export const factsOf = ({ data }: Pick<ReceivedEvent<unknown>, 'data'>): PassFacts =>
  singleLines(data as PassFacts);

/** `line/web:2`, or with a digest for a manifest without a tag. */
export const imageName = ({ repository, tag, digest }: PassFacts): string =>
  `${repository}${tag ? `:${tag}` : `@${shortDigest(digest ?? '')}`}`;

/** Progress of an image that is in transfer. `rate` in bytes a second, `leftMs` by it; absent while unknown. */
export type ImageProgress = {
  image: string;
  direction: Direction;
  bytes: number;
  done: number;
  rate?: number;
  leftMs?: number;
};

/** `planned`: actions of the pass. `open`: not all of them have begun, so more bytes will come. */
export type PassProgress = {
  images: ImageProgress[];
  total: { planned: number; finished: number; open: boolean } & Omit<ImageProgress, 'image' | 'direction'>;
};

type Image = Omit<ImageProgress, 'done' | 'rate' | 'leftMs'> & {
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
  /** Bytes at the far end, by direction and digest of the blob. */
  readonly #transfers = new Map<string, number>();
  readonly #meter = new Rate();
  /** Bytes of which it was seen that they crossed the link. */
  #moved = 0;
  #planned = 0;
  #begun = 0;
  #finished = 0;
  #ended = { bytes: 0 };

  apply(type: string, facts: PassFacts): void {
    const { direction = 'down', repository, digest = '', bytes = 0, largest = [] } = facts;
    const image = `${direction} ${repository} ${digest} ${facts.tag ?? ''}`;
    const blob = `${direction} ${digest}`;
    switch (type.replace(/^terrace\./, '')) {
      case 'pass.started':
        // A pass for changes of clients may run beside one that takes hours.
        if (this.#images.size === 0) this.#clear();
        return;
      case 'pass.finished':
        for (const [key, { pass }] of this.#images) if (pass === facts.pass) this.#images.delete(key);
        return;
      case 'pass.planned':
        this.#planned += facts.actions ?? 0;
        return;
      case 'image.started':
        this.#begun += 1;
        if (this.#images.size >= MAX_IMAGES) return;
        this.#images.set(image, {
          ...{ image: imageName(facts), direction, bytes, largest, pass: facts.pass },
          meter: new Rate(),
        });
        return;
      case 'image.finished':
      case 'image.failed':
        this.#end(image);
        return;
      case 'transfer.started':
        this.#reached(blob, facts.present ?? 0);
        return;
      case 'transfer.progressed':
        this.#reached(blob, facts.done ?? 0);
        return;
      case 'transfer.finished':
        this.#reached(blob, facts.size ?? 0);
        return;
    }
  }

  /** @param now in ms, by any clock */
  progress(now: number): PassProgress {
    const images = [...this.#images.values()].map((image) => this.#of(image, now));
    const sum = (count: (image: ImageProgress) => number) =>
      images.reduce((total, image) => total + count(image), this.#ended.bytes);
    const [bytes, done] = [sum((image) => image.bytes), sum((image) => image.done)];
    const total = { bytes, done, ...estimate(this.#meter.at(this.#moved, now), bytes - done) };
    const open = this.#begun < this.#planned;
    return { images, total: { planned: this.#planned, finished: this.#finished, open, ...total } };
  }

  #of({ image, direction, bytes, largest, meter }: Image, now: number): ImageProgress {
    const reached = largest.reduce(
      (sum, blob) => sum + (this.#transfers.get(`${direction} ${blob}`) ?? 0),
      0,
    );
    const done = Math.min(bytes, reached);
    return { image, direction, bytes, done, ...estimate(meter.at(done, now), bytes - done) };
  }

  #reached(blob: string, bytes: number): void {
    const before = this.#transfers.get(blob);
    if (before !== undefined) this.#moved += Math.max(0, bytes - before);
    if (before !== undefined || this.#transfers.size < MAX_TRANSFERS) this.#transfers.set(blob, bytes);
  }

  #end(key: string): void {
    const image = this.#images.get(key);
    this.#images.delete(key);
    this.#finished += 1;
    this.#ended.bytes += image?.bytes ?? 0;
  }

  #clear(): void {
    this.#images.clear();
    this.#transfers.clear();
    this.#planned = this.#begun = this.#finished = this.#ended.bytes = 0;
  }
}

function estimate(rate: number | undefined, left: number): { rate?: number; leftMs?: number } {
  if (rate === undefined) return {};
  return { rate: Math.round(rate), leftMs: Math.round((left / rate) * 1_000) };
}
