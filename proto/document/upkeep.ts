import { Type } from '../contract/schema.ts';
import { mapping, optional } from './fields.ts';
import { Amount, Cron, Duration } from './quantities.ts';

/** Fields of a configuration document about the data volume: reserve, garbage collection and scrub. */

export const upkeepFields = {
  reserve: optional(
    Amount,
    'Reserve of free space on the data volume: below it, no new content is accepted.',
    'write bytes, such as 512MiB or 2GB',
    { default: '512MiB' },
  ),
  garbageCollection: Type.Optional(
    mapping(
      {
        enabled: optional(Type.Boolean(), 'Whether it runs by its schedule.', 'write true or false', {
          default: true,
        }),
        schedule: optional(Cron, 'When it runs.', 'write cron with five fields (UTC), such as "0 0 * * *"', {
          default: '0 0 * * *',
        }),
        grace: optional(
          Duration,
          'How long unlinked content is retained after it was reported to a caller.',
          'write an ISO 8601 duration, such as PT1H',
          { default: 'PT1H' },
        ),
        uploads: optional(
          Duration,
          'Idle time after which an upload is abandoned.',
          'write an ISO 8601 duration, such as P1D',
          { default: 'P1D' },
        ),
        transfers: optional(
          Duration,
          'Idle time after which a transfer is abandoned.',
          'write an ISO 8601 duration, such as P30D',
          { default: 'P30D' },
        ),
      },
      'Deletion of content that nothing links, and of abandoned uploads and transfers.',
    ),
  ),
  scrub: Type.Optional(
    mapping(
      {
        schedule: optional(Cron, 'When it runs.', 'write cron with five fields (UTC), such as "0 3 * * 0"', {
          otherwise: 'only on request',
        }),
        rate: optional(Amount, 'Max rate, in bytes a second.', 'write bytes a second, such as 20MB', {
          default: '20MB',
        }),
      },
      'Reads and hashes all content, and quarantines what is damaged.',
    ),
  ),
};
