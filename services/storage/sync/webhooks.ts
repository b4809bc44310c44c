import type { WebhookPlace } from '#proto/status/webhooks.ts';
import type { Metadata } from '../metadata/metadata.ts';
import { drop, put } from '../metadata/metadata.ts';

/** How far each webhook has been told. Faults: none of its own. */
export class WebhookPlaces {
  readonly #metadata: Metadata;

  constructor({ metadata }: { metadata: Metadata }) {
    this.#metadata = metadata;
  }

  async get(of: string): Promise<{ place?: WebhookPlace }> {
    const place = await this.#metadata.webhook(of);
    return place ? { place } : {};
  }

  /** Not synced: after a power cut, what was told in the last moments is told again. */
  async keep(of: string, place: WebhookPlace): Promise<void> {
    await this.#metadata.note(put.webhook(of, place));
  }

  async retain(of: readonly string[]): Promise<void> {
    const others: string[] = [];
    for await (const [key] of this.#metadata.webhooks()) if (!of.includes(key)) others.push(key);
    await this.#metadata.write(others.flatMap(drop.webhook));
  }
}
