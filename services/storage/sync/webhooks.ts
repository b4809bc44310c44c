import type { WebhookPosition } from '#proto/status/webhooks.ts';
import type { Metadata } from '../metadata/metadata.ts';
import { drop, put } from '../metadata/metadata.ts';

/** Delivery position of each webhook. No faults of its own. */
export class WebhookPositions {
  readonly #metadata: Metadata;

  constructor({ metadata }: { metadata: Metadata }) {
    this.#metadata = metadata;
  }

  async get(webhook: string): Promise<{ place?: WebhookPosition }> {
    const position = await this.#metadata.webhook(webhook);
    return position ? { place: position } : {};
  }

  /** Unsynced: after a power cut, the latest deliveries are repeated. */
  async store(webhook: string, position: WebhookPosition): Promise<void> {
    await this.#metadata.writeUnsynced(put.webhook(webhook, position));
  }

  async retain(webhooks: readonly string[]): Promise<void> {
    const obsolete: string[] = [];
    for await (const [key] of this.#metadata.webhooks()) if (!webhooks.includes(key)) obsolete.push(key);
    await this.#metadata.write(obsolete.flatMap(drop.webhook));
  }
}
