import { serviceNames } from '#proto/contract/users.ts';
import type { ProcessMetrics } from '#proto/status/process-metrics.ts';
import { counter, type Family, flag, gauge, type Sample, seconds } from './family.ts';
import { type Figures, systemProcesses } from './figures.ts';

/** The version, the services, and each process of the layer. */

const LABELS = ['service', 'process'] as const;

/** One value for each process. */
const ofEach =
  (read: (metrics: ProcessMetrics) => number | undefined) =>
  ({ processes }: Figures): Sample[] =>
    systemProcesses(processes).flatMap((one) => {
      const value = read(one);
      return value === undefined ? [] : [{ labels: labelsOf(one), value }];
    });

const labelsOf = ({ service, instance }: { service: string; instance: string }) => ({
  service,
  process: instance,
});

const known = (ends: (number | undefined)[]) => ends.filter((end) => end !== undefined);

/** The certificate that ends first: each gateway has its own. */
const firstEnd = (ends: (number | undefined)[]): number | undefined =>
  known(ends).reduce<number | undefined>((min = Infinity, one) => Math.min(min, one), undefined);

/** The newest certificate of the parent: a syncer that has not connected since it was renewed knows the one before. */
const lastEnd = (ends: (number | undefined)[]): number | undefined =>
  known(ends).reduce<number | undefined>((max = 0, one) => Math.max(max, one), undefined);

export const processFamilies: Family[] = [
  gauge(
    'build_info',
    'Version of Terrace and of Node; always 1.',
    ({ version, processes }) => [
      { labels: { version, node: processes[0]?.node ?? process.version }, value: 1 },
    ],
    'version',
    'node',
  ),
  gauge(
    'layer_info',
    'Mode of the layer, ReadWrite or ReadOnly; always 1.',
    ({ status: { configuration } }) => configuration && [{ labels: { mode: configuration.mode }, value: 1 }],
    'mode',
  ),
  gauge(
    'scrape_timestamp_seconds',
    'When these figures were gathered, in seconds since 1970: scrapes within a second share them.',
    ({ now }) => seconds(now),
  ),
  gauge('scrape_duration_seconds', 'Time that it took to gather these figures.', ({ tookS }) => tookS),
  gauge(
    'service_up',
    '1 if a process of the service answered within 300 ms, else 0.',
    ({ processes }) =>
      serviceNames.map((service) => ({
        labels: { service },
        value: flag(processes.some((one) => one.service === service)),
      })),
    'service',
  ),
  gauge(
    'service_processes',
    'Processes of the service that answered.',
    ({ processes }) =>
      serviceNames.map((service) => ({
        labels: { service },
        value: processes.filter((one) => one.service === service).length,
      })),
    'service',
  ),
  gauge(
    'process_start_time_seconds',
    'When the process started, in seconds since 1970.',
    ofEach(({ started }) => seconds(started)),
    ...LABELS,
  ),
  counter(
    'process_cpu_seconds',
    'CPU time of the process.',
    ({ processes }) =>
      systemProcesses(processes).flatMap((one) =>
        Object.entries(one.cpu).map(([mode, value]) => ({ labels: { ...labelsOf(one), mode }, value })),
      ),
    ...LABELS,
    'mode',
  ),
  gauge(
    'process_resident_memory_bytes',
    'Resident memory of the process.',
    ofEach(({ memory }) => memory.resident),
    ...LABELS,
  ),
  gauge(
    'process_heap_bytes',
    'Used memory of the JavaScript heap.',
    ofEach(({ memory }) => memory.heap),
    ...LABELS,
  ),
  gauge(
    'process_open_files',
    'Open files and connections.',
    ofEach(({ files }) => files),
    ...LABELS,
  ),
  gauge(
    'process_event_loop_lag_seconds',
    'Delay of a timer at the moment of the scrape.',
    ofEach(({ loop }) => loop.lag),
    ...LABELS,
  ),
  counter(
    'process_event_loop_active_seconds',
    'Time in which the event loop did not wait: its rate is the share of one core that the loop can use at most.',
    ofEach(({ loop }) => loop.active),
    ...LABELS,
  ),
  gauge(
    'process_bus_round_trip_seconds',
    'Round trip from the process to the server of the bus at the moment of the scrape.',
    ({ processes }) => processes.map((one) => ({ labels: labelsOf(one), value: one.bus })),
    ...LABELS,
  ),
  gauge(
    'certificate_expiry_timestamp_seconds',
    'When the certificate ends, in seconds since 1970: that of this layer (`layer`), and that which the parent showed last (`parent`).',
    ({ status, processes }) =>
      Object.entries({
        layer: firstEnd(status.services.map(({ certificateEnds }) => certificateEnds)),
        parent: lastEnd(processes.map(({ sync }) => sync?.certificateEnds)),
      }).flatMap(([certificate, end]) =>
        end === undefined ? [] : [{ labels: { certificate }, value: end / 1_000 }],
      ),
    'certificate',
  ),
  gauge(
    'configuration_complaints',
    'Complaints about the last configuration document; above 0, the one before stays in force.',
    ({ status: { bridge } }) => bridge?.complaints.length,
  ),
  gauge(
    'twin_connected',
    '1 while the module twin is connected; absent if the configuration does not come from one.',
    ({ status: { bridge } }) => bridge?.session && flag(bridge.session.connected),
  ),
  gauge(
    'bus_unreadable_entries',
    'Entries of the bus that are damaged, or of another version; their owners write them again.',
    ({ status: { unreadable = [] } }) => unreadable.length,
  ),
  gauge(
    'bus_advisories',
    'Published advisories that concern the version of nats-server in use.',
    ({ status: { natsServer } }) => natsServer && (natsServer.advisories?.length ?? 0),
  ),
];
