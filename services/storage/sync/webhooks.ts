import type { WebhookPlace } from '#proto/status/webhooks.ts';
import type { Metadata } from '../metadata/metadata.ts';
import { drop, put } from '../metadata/metadata.ts';

/** Delivery position of each webhook. No faults of its own. */
export class WebhookPlaces {
  readonly #metadata: Metadata;

  constructor({ metadata }: { metadata: Metadata }) {
    this.#metadata = metadata;
  }

  async get(webhook: string): Promise<{ place?: WebhookPlace }> {
    const place = await this.#metadata.webhook(webhook);
    return place ? { place } : {};
  }

  /** Unsynced: after a power cut, the latest deliveries are repeated. */
  async keep(webhook: string, place: WebhookPlace): Promise<void> {
    await this.#metadata.writeUnsynced(put.webhook(webhook, place));
  }

  async retain(webhooks: readonly string[]): Promise<void> {
    const obsolete: string[] = [];
    for await (const [key] of this.#metadata.webhooks()) if (!webhooks.includes(key)) obsolete.push(key);
    await this.#metadata.write(obsolete.flatMap(drop.webhook));
  }
}
