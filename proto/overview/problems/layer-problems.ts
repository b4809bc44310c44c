import { plural } from '../../contract/quantity-text.ts';
import { NOT_SEEN } from '../../status/presence.ts';
import { problem, type Rule } from './problem.ts';

/** Other layers and receivers: exchanges of archives, layers below, refused events, webhooks. Pure. */

export const exchanges: Rule = ({ storage }) =>
  (storage?.exchanges ?? []).flatMap(({ peer = 'the layer above', inbox, outbox }) => [
    ...(inbox?.failure
      ? [
          problem(
            'archive-refused',
            'warning',
            `nothing of ${peer} can be imported: ${inbox.failure.reason}`,
            'correct what the reason names: the folder is polled, and examined again when its files change',
            { since: inbox.failure.since, subject: inbox.folder },
          ),
        ]
      : []),
    ...(outbox?.failure
      ? [
          problem(
            'archive-not-written',
            'warning',
            `nothing can be written for ${peer}: ${outbox.failure.reason}`,
            'correct what the reason names: it is tried again by itself',
            { since: outbox.failure.since, subject: outbox.folder },
          ),
        ]
      : []),
  ]);

export const webhooks: Rule = ({ webhooks: all = [] }) =>
  all
    .filter(({ state }) => state === 'Failing' || state === 'Parked')
    .map(({ name, state, since, failure, behind, more }) =>
      problem(
        state === 'Parked' ? 'webhook-parked' : 'webhook-failing',
        'warning',
        `webhook ${name} takes no events: ${failure?.reason ?? 'no reason is known'}; ${more ? `${behind} or more events wait` : plural(behind, 'event waits', 'events wait')}`,
        state === 'Parked' ? 'it answered 410: correct its address, or remove it' : 'correct the receiver',
        { since, subject: name },
      ),
    );

export const history: Rule = ({ history: refused }) =>
  refused
    ? [
        problem(
          'history-refused',
          'warning',
          `the parent refused ${plural(refused.count, 'event')}: ${refused.last.reason}`,
          'correct what the reason names; the entry ends a day after the last refusal',
          { since: refused.since },
        ),
      ]
    : [];

export const below: Rule = ({ below: layers = [] }) =>
  layers
    .filter(({ link: state, path }) => state?.code === NOT_SEEN && path.length === 0)
    .map(({ child, link: state }) =>
      problem(
        'layer-not-seen',
        'warning',
        `the layer ${child} below is cut off: ${state?.detail ?? 'no contact'}`,
        'look at it from there: its link, or its machine',
        { since: state?.since, subject: child },
      ),
    );
