import { Fenced } from '../content/terms.ts';
import { described, event, request, state } from '../contract/contract.ts';
import { Instant, Reason } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';

/**
 * How far each webhook is in the stream of events. Storage stores it, so it survives the end of a process and the loss
 * of the bus.
 */

/** `id` of the event there, empty if none is; `made` distinguishes the stream from one created later. */
export const WebhookPosition = Type.Object({
  made: Type.String({ maxLength: 64 }),
  sequence: Type.Integer({ minimum: 0 }),
  id: Type.String({ maxLength: 300 }),
});
export type WebhookPosition = Static<typeof WebhookPosition>;

/** Hash of name and URL: a webhook with another name or URL has its own position. */
export const WebhookKey = Type.String({ pattern: '^[0-9a-f]{32}$', maxLength: 32 });

export const getWebhookPosition = request(
  'storage.webhook.get',
  Type.Object({ webhook: WebhookKey }),
  Type.Object({ place: Type.Optional(WebhookPosition) }),
);

export const storeWebhookPosition = request(
  'storage.webhook.keep',
  Type.Object({ webhook: WebhookKey, place: WebhookPosition, ...Fenced }),
  Type.Object({}),
);

/** Deletes the positions of all others. */
export const retainWebhooks = request(
  'storage.webhook.retain',
  Type.Object({ webhooks: Type.Array(WebhookKey, { maxItems: 16 }), ...Fenced }),
  Type.Object({}),
);

const WebhookState = Type.Union(
  [Type.Literal('Untried'), Type.Literal('Online'), Type.Literal('Failing'), Type.Literal('Parked')],
  {
    description:
      'Untried: no event for it yet. Failing: the delivery is retried. Parked: it answered 410 (Gone), and is retried once an hour.',
  },
);

const WebhookName = Type.String({
  maxLength: 256,
  description: 'Its configured name, or the host of its URL.',
});

/** Status of a webhook. Written by the coordinator. Key: a `WebhookKey`. */
export const WebhookStatus = Type.Object({
  name: WebhookName,
  state: WebhookState,
  since: Instant,
  /** When it last accepted an event. */
  acceptedAt: Type.Optional(Instant),
  /** Number of events that wait for it; `more`: at least that many. */
  behind: Type.Integer(),
  more: Type.Boolean(),
  /** Why it did not accept the first of them, how many times in a row, and when that one is retried. */
  failure: Type.Optional(
    // An earlier version wrote fractions of a ms.
    Type.Object({ reason: Reason, attempts: Type.Integer(), next: Type.Number({ minimum: 0 }) }),
  ),
});
export type WebhookStatus = Static<typeof WebhookStatus>;
export const webhookStatus = state('webhooks', WebhookStatus);

/** The state of a webhook changed. */
export const webhookChanged = event(
  'webhook.changed',
  Type.Object({
    name: WebhookName,
    state: WebhookState,
    reason: Type.Optional(described(Reason, 'Why it did not accept an event.')),
  }),
);
