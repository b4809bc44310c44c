import { FilePath } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { field, mapping, optional, orDefault } from './fields.ts';

/** Field `notifications` of a configuration document: which receiver is notified of which events of content. */

const Pattern = Type.String({ minLength: 3, maxLength: 640 });

const PATTERNS =
  'write a list of patterns such as "*:*", "line/*:push", "app/web:1:*" or "app/web@sha256:…:delete"';

/** A receiver of events over HTTP: CloudEvents 1.0 in the structured mode, signed according to Standard Webhooks. */
export const Webhook = Type.Object(
  {
    url: field(
      Type.String({ pattern: '^https?://[^/?#]+(?:[/?][^#]*)?$', maxLength: 2_048 }),
      'URL to which events are sent by POST, without credentials.',
      'write http:// or https://, a host and a path, such as https://host/events',
    ),
    name: optional(
      Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$', maxLength: 63 }),
      'Identifies the receiver in the status and the log, and together with the URL its cursor.',
      'use letters, digits and . _ - between them, 63 characters at most',
      { otherwise: 'the host of the URL' },
    ),
    match: optional(
      Type.Array(Pattern, { minItems: 1, maxItems: 100 }),
      'Patterns of the events that are sent.',
      PATTERNS,
      { default: ['*:*'] },
    ),
    secretFile: optional(
      Type.String({ minLength: 1, maxLength: 4_096 }),
      'File with the signing secrets, one per line: `whsec_` and base64, or any text. Read again at each use.',
      'write the path of a file that holds the signing secret',
      { otherwise: 'not signed' },
    ),
    caFile: optional(
      Type.String({ minLength: 1, maxLength: 4_096 }),
      "CA certificates (PEM) that are trusted for the receiver, in addition to the machine's.",
      'write the path of a PEM file with the CA certificates of the receiver',
    ),
    below: optional(
      Type.Boolean(),
      'Whether events of the layers below are sent too.',
      'write true or false',
      { default: false },
    ),
  },
  { additionalProperties: false },
);
export type Webhook = Static<typeof Webhook>;

export const NotificationsDocument = mapping(
  {
    parent: optional(
      Type.Array(Pattern, { maxItems: 100 }),
      'Patterns of the events of content that are reported to a Terrace above; an empty list means none. Other events, and those of the layers below, are always reported.',
      PATTERNS,
      { otherwise: 'all' },
    ),
    webhooks: optional(
      Type.Array(Webhook, { maxItems: 16 }),
      'Receivers of events over HTTP.',
      'write a list of up to 16 mappings, each with the field url',
      { otherwise: 'none' },
    ),
  },
  'Which events of content are reported to which receiver.',
);
export type NotificationsDocument = Static<typeof NotificationsDocument>;

/** `NotificationsDocument` with its defaults applied. */
export const Notifications = Type.Object({
  parent: Type.Optional(Type.Array(Pattern, { maxItems: 100 })),
  webhooks: Type.Array(
    Type.Object({
      url: Webhook.properties.url,
      name: Type.String({ maxLength: 256 }),
      match: Type.Array(Pattern, { maxItems: 100 }),
      secretFile: Type.Optional(FilePath),
      caFile: Type.Optional(FilePath),
      below: Type.Boolean(),
    }),
    { maxItems: 16 },
  ),
});
export type Notifications = Static<typeof Notifications>;
export type Receiver = Notifications['webhooks'][number];

export const webhookName = ({ name, url }: Pick<Webhook, 'name' | 'url'>): string =>
  name ?? new URL(url).host;

export function notificationsOf({ parent, webhooks = [] }: NotificationsDocument = {}): Notifications {
  return {
    ...(parent && { parent }),
    webhooks: webhooks.map((one) => ({
      ...one,
      below: orDefault(one.below, Webhook.properties.below),
      match: orDefault(one.match, Webhook.properties.match),
      name: webhookName(one),
    })),
  };
}
