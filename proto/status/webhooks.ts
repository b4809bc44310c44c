import { type Static, Type } from '@sinclair/typebox';
import { Fenced } from '../content/terms.ts';
import { event, request, state } from '../contract/contract.ts';
import { Instant, Reason } from '../oci/names.ts';

/**
 * How far each webhook has been told, in the stream of events. Storage keeps it, so neither the end of a process nor
 * the loss of the bus forgets it.
 */

/** `id` is that of the event there, empty where none is; `made` tells the stream from one made anew later. */
export const WebhookPlace = Type.Object({
  made: Type.String({ maxLength: 64 }),
  sequence: Type.Integer({ minimum: 0 }),
  id: Type.String({ maxLength: 300 }),
});
export type WebhookPlace = Static<typeof WebhookPlace>;

/** Of its name and URL: another one begins at its own place. */
export const WebhookKey = Type.String({ pattern: '^[0-9a-f]{32}$', maxLength: 32 });

export const getWebhookPlace = request(
  'storage.webhook.get',
  Type.Object({ of: WebhookKey }),
  Type.Object({ place: Type.Optional(WebhookPlace) }),
);

export const keepWebhookPlace = request(
  'storage.webhook.keep',
  Type.Object({ of: WebhookKey, place: WebhookPlace, ...Fenced }),
  Type.Object({}),
);

/** Forgets those of all others. */
export const retainWebhooks = request(
  'storage.webhook.retain',
  Type.Object({ of: Type.Array(WebhookKey, { maxItems: 16 }), ...Fenced }),
  Type.Object({}),
);

/**
 * Untried: there was nothing to tell it yet. Failing: it is told again at `next`. Parked: it said that it is gone (410),
 * and is asked once an hour.
 */
const WebhookState = Type.Union([
  Type.Literal('Untried'),
  Type.Literal('Online'),
  Type.Literal('Failing'),
  Type.Literal('Parked'),
]);

/** Its own, or the host of its URL. */
const WebhookName = Type.String({ maxLength: 256 });

/** How a webhook stands. Written by the coordinator. Key: a `WebhookKey`. */
export const WebhookStatus = Type.Object({
  name: WebhookName,
  state: WebhookState,
  since: Instant,
  /** When it last took an event. */
  told: Type.Optional(Instant),
  /** How many events wait for it; `more`: that many at least. */
  behind: Type.Integer(),
  more: Type.Boolean(),
  /** Why it did not take the first of them, how often in a row, and when that is told again. */
  failure: Type.Optional(
    // An earlier version wrote fractions of a ms.
    Type.Object({ reason: Reason, attempts: Type.Integer(), next: Type.Number({ minimum: 0 }) }),
  ),
});
export type WebhookStatus = Static<typeof WebhookStatus>;
export const webhookStatus = state('webhooks', WebhookStatus);

export const webhookChanged = event(
  'webhook.changed',
  Type.Object({ name: WebhookName, state: WebhookState, reason: Type.Optional(Reason) }),
);
