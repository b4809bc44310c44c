import { isAbsolute, join } from 'node:path';
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { manifestCommitted, manifestDeleted, tagDeleted, tagMoved } from '../content/content-events.ts';
import { check } from '../contract/contract.ts';
import type { Envelope } from '../contract/envelope.ts';
import { FilePath } from '../oci/names.ts';
import type { Artifact } from './notification-patterns.ts';

/** Field `notifications` of a configuration document: which receiver is notified of which events of content. */

const Pattern = Type.String({ minLength: 3, maxLength: 640 });

/** A receiver of events over HTTP: CloudEvents 1.0 in the structured mode, signed according to Standard Webhooks. */
export const Webhook = Type.Object(
  {
    /** `https://…` or `http://…`, without credentials. */
    url: Type.String({ pattern: '^https?://[^/?#]+(?:[/?][^#]*)?$', maxLength: 2_048 }),
    /** Identifies the receiver in the status and the log, and with the URL its cursor; the URL's host by default. */
    name: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$', maxLength: 63 })),
    /** See notification-patterns.ts; all if absent. */
    match: Type.Optional(Type.Array(Pattern, { minItems: 1, maxItems: 100 })),
    /** File that holds the secret for signing events. Read again at each use. */
    secretFile: Type.Optional(Type.String({ minLength: 1, maxLength: 4_096 })),
    /** Trusted CA certificates (PEM) for the receiver, in addition to the machine's. */
    caFile: Type.Optional(Type.String({ minLength: 1, maxLength: 4_096 })),
    /** Include events of the layers below. */
    below: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);
export type Webhook = Static<typeof Webhook>;

export const NotificationsDocument = Type.Object(
  {
    /** Events of content that are reported to a Terrace above: all if absent, none if empty. */
    parent: Type.Optional(Type.Array(Pattern, { maxItems: 100 })),
    webhooks: Type.Optional(Type.Array(Webhook, { maxItems: 16 })),
  },
  { additionalProperties: false },
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

export const nameOf = ({ name, url }: Pick<Webhook, 'name' | 'url'>): string => name ?? new URL(url).host;

export function notificationsOf({ parent, webhooks = [] }: NotificationsDocument = {}): Notifications {
  return {
    ...(parent && { parent }),
    webhooks: webhooks.map((one) => ({ below: false, match: ['*:*'], ...one, name: nameOf(one) })),
  };
}

/** Resolves relative paths against a folder, in place, in a document that is not validated yet. */
export function placeFiles(notifications: unknown, folder: string): void {
  const { webhooks } = (notifications ?? {}) as { webhooks?: unknown };
  for (const one of Array.isArray(webhooks) ? webhooks : []) {
    for (const file of ['secretFile', 'caFile']) {
      const path = one?.[file];
      if (typeof path === 'string' && path !== '' && !isAbsolute(path)) one[file] = join(folder, path);
    }
  }
}

const contents = new Map(
  [tagMoved, tagDeleted, manifestCommitted, manifestDeleted].map((event) => [`terrace.${event.type}`, event]),
);

/** Artifact that an event of content is about; undefined for any other event, and for one that can't be read. */
export function artifactOf({ type, data }: Pick<Envelope, 'type' | 'data'>): Artifact | undefined {
  const event = contents.get(type);
  if (!event || !isOf(event.data, data)) return undefined;
  const { repository, tag, digest = '', from = '' } = data as Record<string, string>;
  const action = event === tagMoved || event === manifestCommitted ? 'push' : 'delete';
  return { name: repository as string, tag, digest: event === tagDeleted ? from : digest, action };
}

function isOf(schema: TSchema, data: unknown): boolean {
  try {
    check(schema, data);
    return true;
  } catch {
    return false;
  }
}
