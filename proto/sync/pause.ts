import { AccountName } from '../accounts/accounts.ts';
import { described, event, request } from '../contract/contract.ts';
import { Instant, Party } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';

/**
 * Pause of the link to the parent. While it lasts, nothing crosses the link, in either direction: no pass, no transfer,
 * no change feed and no report. Clients and children are served from what is here.
 *
 * Storage decides: it keeps the pause in its metadata, ends it when its time is over, and publishes both as events. The
 * syncers read it before they use the link, and again after each event that may concern it.
 */
export const LinkPause = Type.Object({
  since: described(Instant, 'When the link was paused, in ms since 1970-01-01 UTC.'),
  by: described(Party, 'Who paused it last: a person, an account, or `_<user>` for a service.'),
  reason: Type.Optional(Type.String({ minLength: 1, maxLength: 400, description: 'Why, for people.' })),
  until: Type.Optional(
    described(Instant, 'When the pause ends by itself, in ms since 1970-01-01 UTC; absent: it does not.'),
  ),
});
export type LinkPause = Static<typeof LinkPause>;

/** Bounds of the duration of a pause that ends by itself, in ms. */
export const MIN_PAUSE_MS = 1_000;
export const MAX_PAUSE_MS = 366 * 86_400_000;

/** Pauses the link, or changes reason and end of its pause. The end is by the clock of storage. */
export const setLinkPause = request(
  'storage.pause.set',
  Type.Object({
    reason: LinkPause.properties.reason,
    /** Without it, the pause lasts until `endLinkPause`. */
    forMs: Type.Optional(Type.Integer({ minimum: MIN_PAUSE_MS, maximum: MAX_PAUSE_MS })),
  }),
  Type.Object({ paused: LinkPause }),
);

/** Ends the pause. `ended`: the pause that was in force, if any. */
export const endLinkPause = request(
  'storage.pause.end',
  Type.Object({}),
  Type.Object({ ended: Type.Optional(LinkPause) }),
);

export const getLinkPause = request(
  'storage.pause.get',
  Type.Object({}),
  Type.Object({ paused: Type.Optional(LinkPause) }),
);

const account = Type.Optional(described(AccountName, 'Account that requested it.'));

/** The link was paused, or reason or end of its pause were changed. */
export const linkPaused = event('link.paused', Type.Object({ ...LinkPause.properties, account }));

/** The link may be used again. */
export const linkResumed = event(
  'link.resumed',
  Type.Object({
    since: described(Instant, 'When it had been paused, in ms since 1970-01-01 UTC.'),
    by: Type.Optional(described(Party, 'Who resumed it; absent if the time of the pause was over.')),
    account,
  }),
);

/** One sentence for people: who paused the link, when, why and until when. */
export function pauseText({ since, by, reason, until }: LinkPause): string {
  const why = reason === undefined ? '' : ` (${reason})`;
  const end = until === undefined ? '' : ` until ${new Date(until).toISOString()}`;
  return `the link is paused by ${by} since ${new Date(since).toISOString()}${end}${why}`;
}
