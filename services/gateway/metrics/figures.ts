import { within } from '#proto/async/within.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { type ServiceName, serviceNames } from '#proto/contract/users.ts';
import { type LayerStatus, layerStatus } from '#proto/overview/layer-status.ts';
import { metricsOfInstance, type ProcessMetrics } from '#proto/status/process-metrics.ts';
import type { ServiceStatus } from '#proto/status/status.ts';

/**
 * What a scrape is made of: the status of the layer (proto/overview), which the command line shows, too, and the
 * counters of each process, which it answers itself.
 */
export type Figures = {
  /** When they were asked for, in ms since 1970. */
  now: number;
  /** Time that it took to gather them, in s. */
  tookS: number;
  version: string;
  status: LayerStatus;
  processes: MeasuredProcess[];
};

/** The answer of one service in a process; `systemProcesses` joins those that share one. */
export type MeasuredProcess = ProcessMetrics & { service: ServiceName };

/** Max time for the status, and then for the answers of the processes, in ms. A scrape takes less than a second. */
const STATUS_MS = 350;
const PROCESS_MS = 300;
/** Max processes that are asked. */
const MAX_PROCESSES = 64;

/** Gathers the figures of a layer. What does not answer in time is left out. */
export class FigureReader {
  readonly #bus: Bus;
  readonly #version: string;
  /** The processes that were there last, for when storage, and with it their list, does not answer. */
  #known: ServiceStatus[] = [];

  constructor(bus: Bus, version: string) {
    this.#bus = bus;
    this.#version = version;
  }

  async read(): Promise<Figures> {
    const begun = performance.now();
    const now = Date.now();
    const status = await layerStatus(this.#bus, { withoutParked: true, withinMs: STATUS_MS });
    if (status.storage) this.#known = status.services;
    const listed = new Map([...this.#known, ...status.services].map((one) => [one.instance, one]));
    const asked = [...listed.values()].slice(0, MAX_PROCESSES).map((one) => this.#ask(one));
    const processes = (await Promise.all(asked)).filter((one) => one !== undefined);
    const tookS = (performance.now() - begun) / 1_000;
    return { now, tookS, version: this.#version, status, processes };
  }

  async #ask({ service, instance }: ServiceStatus): Promise<MeasuredProcess | undefined> {
    if (!isService(service)) return undefined;
    const answer = this.#bus.call(metricsOfInstance(service, instance), {}, { patience: 0 });
    const metrics = await within(answer, PROCESS_MS).catch(() => undefined);
    return metrics && { ...metrics, service };
  }
}

const isService = (name: string): name is ServiceName => (serviceNames as readonly string[]).includes(name);

/** One entry for each process of the system: services may share one. */
export function systemProcesses(
  processes: readonly MeasuredProcess[],
): (ProcessMetrics & { service: string })[] {
  const byProcess = Map.groupBy(processes, ({ host, pid }) => `${host} ${pid}`);
  return [...byProcess.values()].map((shared) => {
    const [first] = shared as [MeasuredProcess];
    return { ...first, service: shared.length > 1 ? 'all' : first.service };
  });
}
