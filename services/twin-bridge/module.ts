import type { Bus, Log } from '#proto/bus/bus.ts';
import { ended } from '../process/run.ts';
import { type BridgeOptions, startBridge } from './bridge.ts';
import type { ModuleTwin } from './iot-edge/module-twin.ts';
import type { DirectMethod } from './methods/method.ts';
import { directMethods } from './methods/methods.ts';
import { type ReportOptions, TwinReporter } from './report/twin-reporter.ts';
import { FIRST_START_MS, orEmpty } from './source/first-start.ts';
import type { DocumentSource } from './source/source.ts';
import { withLowerDocument } from './source/with-lower-document.ts';

export type ModuleOptions = {
  bus: Bus;
  log: Log;
  signal: AbortSignal;
  /** Called once the bridge serves. */
  serves?: () => void;
  version: string;
  bridgeOptions: BridgeOptions;
  /** Configuration file. Its fields apply unless the twin sets them. */
  file?: DocumentSource | undefined;
  start: (methods: ReadonlyMap<string, DirectMethod>) => ModuleTwin;
  pace?: ReportOptions['pace'];
};

/** Runs the bridge of a layer that is an IoT Edge module, until the signal aborts. */
export async function runModule({ bus, log, signal, ...options }: ModuleOptions): Promise<void> {
  const { version, bridgeOptions, file, start, pace, serves } = options;
  const { promise: started, resolve } = Promise.withResolvers<TwinReporter>();
  await using twin = start(directMethods(bus, log, async () => (await started).makeReport()));
  const twinSource = bridgeOptions.defaults?.parent ? orEmpty(twin, FIRST_START_MS, log) : twin;
  const source = file ? withLowerDocument(twinSource, file) : twinSource;
  using running = startBridge(bus, log, source, {
    ...bridgeOptions,
    late: true,
    session: () => twin.session,
  });
  using reporter = new TwinReporter({
    bus,
    log,
    version,
    desired: running.desired,
    report: (reported) => twin.report(reported),
    ...(pace && { pace }),
  });
  resolve(reporter);
  running.onChange(reporter.changed);
  serves?.();
  await ended(signal);
}
