import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { unlessAborted } from '#proto/async/unless-aborted.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { Overrides } from '#proto/document/resolve/resolve.ts';
import { type DataFolder, isCopy, lastBusPort, makeFolders, writeBus } from '../data/data-folder.ts';
import { requireSpaceToStart } from '../data/disk-space.ts';
import { claimFolder, type FolderClaim } from '../data/pid-file.ts';
import {
  freePort,
  type ListenAddress,
  listenErrorCode,
  parseAddress,
  urlOf,
  waitForPort,
} from '../data/ports.ts';
import { Refusal } from '../terminal/refusal.ts';
import { mustHaveAccounts, needsAccounts } from './accounts-rule.ts';
import { LayerLog, type Outlets } from './layer-log.ts';
import { BUS_START_MS, findNatsServer, stopOrphans } from './nats-server.ts';
import { busProgram, servicePrograms } from './programs.ts';
import { Supervisor } from './supervisor.ts';

/**
 * The processes of a layer, from their start to their stop; and what commands do without a running layer.
 *
 * Life of a layer: `startLayer` creates the data folder, claims its pid file, stops orphaned nats-servers and checks
 * that the address is free. It starts a nats-server, checks the accounts rule, and starts the services (programs.ts)
 * under a supervisor, which restarts them with a backoff. Their output goes to one log (layer-log.ts,
 * repeated-lines.ts). `ready` resolves when every service serves (ready.ts). `stop` ends the processes rank by rank and
 * releases the pid file.
 *
 * Without a layer, with-storage.ts starts bus (bus-alone.ts) and storage for one command, and repair-hints.ts reads the
 * stored events. join.ts adds syncers to a layer that runs elsewhere.
 */

export type LayerOptions = {
  /** The data folder, absolute. */
  data: string;
  /** As resolved from the configuration file and the overrides. */
  configuration: Configuration;
  overrides: Overrides;
  /** Apply to fields that neither the file nor the overrides set. */
  defaults?: Overrides | undefined;
  /** Absolute; read again when it changes. */
  configFile?: string | undefined;
  outlets: Outlets;
  /** All services in one process: less memory, but one processor for all the work. */
  compact?: boolean | undefined;
  /** Serve other machines although the layer has no accounts. */
  insecureListen?: boolean | undefined;
  /** A token is created after the start: until then the gateway rejects all clients. */
  awaitToken?: boolean | undefined;
  env?: NodeJS.ProcessEnv;
  /** Programs of the services; default: one for each, or one for all in a compact layer. */
  programs?: typeof servicePrograms;
};

/**
 * Max time for which syncers, and the report that the layer is ready, wait for the gateway, in ms. It may serve much
 * later: once a token or a certificate exists.
 */
const MAX_FIRST_MS = 3_000;
/** Max time for processes of a killed supervisor to end, in ms. */
const MAX_ORPHAN_MS = 15_000;
const COPIED =
  'data folder was copied or moved; replacing the credentials of its bus; below a Terrace, only one of the copies may synchronize';

/** A running layer: a nats-server and the services, as child processes of this one. */
export class Layer implements AsyncDisposable {
  readonly data: string;
  /** URL of the gateway for clients on this machine. */
  readonly url: string;
  readonly busUrl: string;
  readonly #folder: DataFolder;
  readonly #claim: FolderClaim;
  readonly #supervisor: Supervisor;
  readonly #log: LayerLog;
  readonly #clientsServed: Promise<unknown>;
  #stopped: Promise<void> | undefined;

  constructor(
    folder: DataFolder,
    claim: FolderClaim,
    url: string,
    busUrl: string,
    supervisor: Supervisor,
    log: LayerLog,
    clientsServed: Promise<unknown>,
  ) {
    this.data = folder.root;
    this.url = url;
    this.busUrl = busUrl;
    this.#folder = folder;
    this.#claim = claim;
    this.#supervisor = supervisor;
    this.#log = log;
    this.#clientsServed = clientsServed;
  }

  /**
   * Pids by program: gateway (gateway-1 … if there are several), storage, twin-bridge, syncer-1 …, nats-server; of a
   * compact layer: layer, nats-server.
   */
  pids(): Record<string, number> {
    return this.#supervisor.pids();
  }

  /** Names of all programs, those too that do not run now. */
  programs(): string[] {
    return this.#supervisor.names();
  }

  /** Resolves when every service serves. `waiting` is called every 10 s with the programs that do not yet. */
  async ready(signal: AbortSignal, waiting: (missing: string[]) => void = () => {}): Promise<void> {
    // Neither loading nor polling delays the services.
    await Promise.race([unlessAborted(signal, this.#clientsServed), this.unrecoverable]);
    const { whenReady } = await import('./ready.ts');
    return Promise.race([whenReady(this, signal, waiting), this.unrecoverable]);
  }

  /** Rejects with a Refusal when the layer can't continue until an operator has fixed something. */
  get unrecoverable(): Promise<never> {
    return this.#supervisor.unrecoverable;
  }

  /** Stops all processes rank by rank, by default within 5 s. */
  stop(): Promise<void> {
    this.#stopped ??= this.#supervisor.stop().then(() => {
      this.#log.end();
      return release(this.#folder, this.#claim);
    });
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** Starts a layer. @throws Refusal: then none of its processes runs */
export async function startLayer(options: LayerOptions): Promise<Layer> {
  const { data, configuration, outlets, compact, env = process.env } = options;
  for (const field of ['gateways', 'syncers'] as const) {
    if (compact && configuration[field] > 1) {
      throw new Refusal(
        `${field}: ${configuration[field]} processes are not possible with --compact: remove ${field} or --compact`,
        2,
      );
    }
  }
  const log = new LayerLog(configuration.name, outlets);
  const natsServer = findNatsServer(env, outlets.terminal);
  const folder = await makeFolders(data);
  await requireSpaceToStart(data);
  const copied = isCopy(folder);
  const claim = claimFolder(folder);
  if ('held' in claim) {
    throw new Refusal(
      `a Terrace (process ${claim.held}) runs on ${data} already: stop it, or name another folder with --data`,
    );
  }
  const supervisor = new Supervisor(({ program, pid, level, message }) => {
    log.write(program, level, message, { pid });
  });
  try {
    if (copied) log.write('layer', 'warn', COPIED);
    await stopOrphans(folder);
    await mustBeFree(configuration.listen, claim.stale && !copied ? MAX_ORPHAN_MS : 0);
    const port = await chooseBusPort(folder);
    const bus = { host: '127.0.0.1', port };
    const busUrl = `nats://127.0.0.1:${port}`;
    await writeBus(folder, { ...bus, url: busUrl });
    supervisor.add(busProgram(natsServer, folder, log));
    const busServes = mustServe(bus, `nats-server (${natsServer}) did not start: see ${folder.log}`);
    const settings = { folder, name: configuration.name, busUrl, env };
    if (!options.insecureListen && !options.awaitToken && needsAccounts(configuration)) {
      await busServes;
      await mustHaveAccounts(settings, configuration, log);
    }
    const { programs = servicePrograms } = options;
    const clientsServed = waitForPort(parseAddress(configuration.listen), MAX_FIRST_MS);
    for (const program of programs({ ...options, ...settings, clientsServed }, log)) supervisor.add(program);
    // Services are loaded meanwhile, and connect as soon as it serves.
    await busServes;
    return new Layer(folder, claim, urlOf(configuration), busUrl, supervisor, log, clientsServed);
  } catch (error) {
    await supervisor.stop();
    await release(folder, claim);
    throw error;
  }
}

/** @throws Refusal; handled even if the caller fails before it awaits */
function mustServe(bus: ListenAddress, complaint: string): Promise<void> {
  const serves = waitForPort(bus, BUS_START_MS).then((isServing) => {
    if (!isServing) throw new Refusal(complaint);
  });
  serves.catch(() => {});
  return serves;
}

async function release(folder: DataFolder, claim: FolderClaim): Promise<void> {
  await rm(folder.busPid, { force: true });
  claim[Symbol.dispose]();
}

async function chooseBusPort(folder: DataFolder): Promise<number> {
  const last = await lastBusPort(folder);
  if (last !== undefined && !(await listenErrorCode({ host: '127.0.0.1', port: last }))) return last;
  return freePort();
}

async function mustBeFree(listen: string, patience: number): Promise<void> {
  for (const end = performance.now() + patience; ; await sleep(100)) {
    const why = await listenErrorCode(parseAddress(listen));
    if (!why) return;
    if (performance.now() < end) continue;
    const reason =
      why === 'EADDRINUSE'
        ? 'is in use by another program'
        : why === 'EADDRNOTAVAIL' || why === 'ENOTFOUND'
          ? 'is not an address of this machine'
          : `can't be listened on (${why})`;
    throw new Refusal(`listen ${listen} ${reason}: choose another address with --listen`);
  }
}
