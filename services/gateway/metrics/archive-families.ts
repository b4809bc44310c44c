import type { ExchangeStatus } from '#proto/status/archive-exchange.ts';
import { type Family, flag, gauge, type Sample, seconds } from './family.ts';
import type { Figures } from './figures.ts';

/** Exchanges of archives with layers to which there is no link. The label `peer` is empty while no name is known. */

const ofEach =
  (read: (exchange: ExchangeStatus) => number | undefined) =>
  ({ status: { storage } }: Figures): Sample[] =>
    (storage?.exchanges ?? []).flatMap((exchange) => {
      const value = read(exchange);
      return value === undefined ? [] : [{ labels: { peer: exchange.peer ?? '' }, value }];
    });

export const archiveFamilies: Family[] = [
  gauge(
    'archive_import_timestamp_seconds',
    'When the last set of the other layer was imported, in seconds since 1970; absent before the first one.',
    ofEach(({ inbox }) => inbox?.last && seconds(inbox.last.at)),
    'peer',
  ),
  gauge(
    'archive_import_number',
    'Number of the last set that was imported; absent before the first one.',
    ofEach(({ inbox }) => inbox?.last?.number),
    'peer',
  ),
  gauge(
    'archive_import_failed',
    '1 while the folder, or what arrived in it, can not be used.',
    ofEach(({ inbox }) => inbox && flag(inbox.failure !== undefined)),
    'peer',
  ),
  gauge(
    'archive_export_timestamp_seconds',
    'When the last set for the other layer was written, in seconds since 1970; absent before the first one.',
    ofEach(({ outbox }) => outbox?.last && seconds(outbox.last.at)),
    'peer',
  ),
  gauge(
    'archive_export_number',
    'Number of the last set that was written; absent before the first one.',
    ofEach(({ outbox }) => outbox?.last?.number),
    'peer',
  ),
  gauge(
    'archive_acknowledged_number',
    'Number of the last set that the other layer has imported, as far as it has reported; absent before that.',
    ofEach(({ outbox }) => outbox?.acknowledged),
    'peer',
  ),
  gauge(
    'archive_export_failed',
    '1 while no set can be written to the folder.',
    ofEach(({ outbox }) => outbox && flag(outbox.failure !== undefined)),
    'peer',
  ),
];
