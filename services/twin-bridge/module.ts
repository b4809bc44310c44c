import type { Bus, Log } from '#proto/bus.ts';
import { ended } from '../run.ts';
import { withBeneath } from './beneath.ts';
import { type Beside, bridge } from './bridge.ts';
import { FIRST_START_MS, orEmpty } from './first-start.ts';
import type { Method } from './methods/method.ts';
import { directMethods } from './methods/methods.ts';
import type { ModuleTwin } from './module-twin.ts';
import { Reporter, type ReportOptions } from './report.ts';
import type { Reported } from './reported.ts';
import type { DocumentSource } from './source.ts';

export type ModuleOptions = {
  bus: Bus;
  log: Log;
  signal: AbortSignal;
  /** Is called when the bridge has begun to serve. */
  serves?: () => void;
  version: string;
  beside: Beside;
  /** A configuration file: its fields count where the twin names none. */
  file?: DocumentSource | undefined;
  start: (methods: ReadonlyMap<string, Method>) => ModuleTwin;
  pace?: ReportOptions['pace'];
};

/** The bridge of a layer that is an IoT Edge module, until the signal ends it. */
export async function runModule({ bus, log, signal, ...options }: ModuleOptions): Promise<void> {
  const { version, beside, file, start, pace, serves } = options;
  let status = async (): Promise<Reported> => ({});
  await using twin = start(directMethods(bus, log, () => status()));
  const known = beside.defaults?.parent ? orEmpty(twin, FIRST_START_MS, log) : twin;
  const source = file ? withBeneath(known, file) : known;
  using running = bridge(bus, log, source, { ...beside, late: true, session: () => twin.session });
  using reporter = new Reporter({
    bus,
    log,
    version,
    desired: running.desired,
    report: (reported) => twin.report(reported),
    ...(pace && { pace }),
  });
  status = () => reporter.now();
  running.onChange(reporter.changed);
  serves?.();
  await ended(signal);
}
