import { Keep } from '../content/backups.ts';
import { FilePath } from '../contract/scalars.ts';
import { Type } from '../contract/schema.ts';
import { field, mapping, optional } from './fields.ts';
import { Amount, Cron, Duration } from './quantities.ts';

/** Fields of a configuration document about the data volume: reserve, garbage collection, scrub and backup. */

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
  backup: Type.Optional(
    mapping(
      {
        target: field(
          FilePath,
          'Folder of the backups, on another disk than the data volume, as the layer sees it. Its parent folder must exist.',
          'write the path of a folder, such as /mnt/backup/line-1',
        ),
        schedule: optional(
          Cron,
          'When a backup is made. After a failure it is tried again, at first after about five minutes; one that was due while the layer was off is made after its start.',
          'write cron with five fields (UTC), such as "0 1 * * *"',
          { default: '0 1 * * *' },
        ),
        keep: optional(Keep, 'How many backups the folder keeps.', 'write a whole number from 1 to 10000', {
          default: 7,
        }),
        rate: optional(
          Amount,
          'Max rate at which the data volume is read, in bytes a second.',
          'write bytes a second, such as 20MB',
          { otherwise: 'no limit' },
        ),
      },
      'Backups of the layer while it runs: see docs/operating/backup.md.',
      { otherwise: 'only on request' },
    ),
  ),
};
