import { Type } from '../contract/schema.ts';
import { field, optional } from './fields.ts';
import { Cron, Duration } from './quantities.ts';

/** Fields of a configuration document about the use of the link to the parent, and about the retention of events. */

/** Time of the day, UTC. */
const HourMinute = Type.String({ pattern: '^(?:[01][0-9]|2[0-3]):[0-5][0-9]$', maxLength: 5 });
/** Bits per second, such as 2Mbit, 512kbit or 1.5Mbit. */
const BitRate = Type.String({ pattern: '^\\d', maxLength: 32 });

export const linkFields = {
  schedule: optional(
    Cron,
    'When passes start, or when the window opens. The default, without a window, means at any time: changes are pushed immediately.',
    'write cron with five fields (UTC), such as "*/15 * * * *"',
    { default: '* * * * *' },
  ),
  syncWindow: optional(
    Duration,
    'Name of `window` in the connected registry; used if `window` is absent.',
    'write an ISO 8601 duration from PT1M to P7D, such as PT4H',
  ),
  window: optional(
    Duration,
    'How long the link may be used after each time of the schedule.',
    'write an ISO 8601 duration from PT1M to P7D, such as PT2H',
    { otherwise: 'no limit' },
  ),
  messageTtl: optional(
    Duration,
    'Name of `eventTtl` in the connected registry; used if `eventTtl` is absent.',
    'write an ISO 8601 duration from P1D to P90D',
  ),
  eventTtl: optional(
    Duration,
    'How long events are retained.',
    'write an ISO 8601 duration from P1D to P90D',
    { default: 'P2D' },
  ),
  bandwidth: optional(
    Type.Union([
      BitRate,
      Type.Array(
        Type.Object(
          {
            from: optional(
              HourMinute,
              'Start of the period, which may end on the next day. The first matching entry applies.',
              'write a time of the day (UTC) in quotes, such as "06:00"',
              { otherwise: 'always, if `to` is absent too' },
            ),
            to: optional(
              HourMinute,
              'End of the period; requires `from`.',
              'write a time of the day (UTC) in quotes, such as "22:00"',
            ),
            limit: field(
              BitRate,
              'Max rate in the period.',
              'write bits a second, 8kbit or more, such as 512kbit or 2Mbit',
            ),
          },
          { additionalProperties: false },
        ),
        { minItems: 1, maxItems: 100 },
      ),
    ]),
    'Max rate on the link, for all syncers and both directions together; a list sets it by time of day.',
    'write bits a second, 8kbit or more, such as 2Mbit, or a list with the fields from, to and limit',
    { otherwise: 'no limit' },
  ),
};
