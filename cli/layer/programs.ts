import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Configuration } from '#proto/document/configuration.ts';
import type { Overrides } from '#proto/document/resolve/resolve.ts';
import { currentUser } from '../data/current-user.ts';
import type { DataFolder } from '../data/data-folder.ts';
import { NODE_ENV, NODE_FLAGS } from '../data/node.ts';
import { writePid } from '../data/pid-file.ts';
import type { LayerLog } from './layer-log.ts';
import { spawnNatsServer } from './nats-server.ts';
import type { Program } from './supervisor.ts';

/** The processes of a layer. */

/** Order of the stop: first what talks to clients or the parent, then storage, last the bus, which all depend on. */
const LISTENERS = 0;
const STORAGE = 1;
const BUS = 2;

/** Max time for storage to start, in ms: recovery may take long, and it waits 10 s for another storage that stops. */
export const STORAGE_START_MS = 30_000;

/** What every service needs. */
export type ServiceSettings = {
  folder: DataFolder;
  /** Name of the layer. */
  name: string;
  busUrl: string;
  env: NodeJS.ProcessEnv;
};

export type ProgramSettings = ServiceSettings & {
  configuration: Configuration;
  overrides: Overrides;
  defaults?: Overrides | undefined;
  configFile?: string | undefined;
  /** Serve other machines without accounts. */
  insecureListen?: boolean | undefined;
  /** Reject all clients until a token exists. */
  awaitToken?: boolean | undefined;
  /** All services in one process. */
  compact?: boolean | undefined;
  /** Syncers are started once this has resolved: until then, others need the processors. */
  clientsServed?: Promise<unknown> | undefined;
};

export const BUS_PROGRAM = 'nats-server';
/** The process with all services of a compact layer. */
export const COMPACT_PROGRAM = 'layer';

export function busProgram(program: string, folder: DataFolder, log: LayerLog): Program {
  return {
    name: BUS_PROGRAM,
    rank: BUS,
    spawn: () => {
      const child = spawnNatsServer(program, folder);
      log.follow(BUS_PROGRAM, child.stderr);
      if (child.pid !== undefined) writePid(folder.busPid, child.pid);
      return child;
    },
  };
}

export function servicePrograms(settings: ProgramSettings, log: LayerLog): Program[] {
  const { configuration, compact, clientsServed: after } = settings;
  const { gateways } = configuration;
  const listen = gatewayEnv(settings);
  const bridge = bridgeEnv(settings);
  if (compact) {
    const extra = { ...FILE_THREADS, ...listen, ...bridge };
    return [service(COMPACT_PROGRAM, 'compact.ts', LISTENERS, extra, settings, log)];
  }
  const gatewayNames = gateways === 1 ? ['gateway'] : numbered('gateway', gateways);
  // In the order in which clients need them.
  return [
    storageProgram(settings, log),
    ...gatewayNames.map((name) => service(name, 'gateway/main.ts', LISTENERS, listen, settings, log)),
    service('twin-bridge', 'twin-bridge/main.ts', LISTENERS, bridge, settings, log),
    ...syncerPrograms(configuration.syncers, settings, log).map((program) => ({ ...program, after })),
  ];
}

/**
 * Threads for files, of which media that hang hold some: a target of a backup four, folders of archives four, and an
 * archive that is being read or written two. The rest serves the layer. Keep docker-compose.yml in step.
 */
export const FILE_THREADS = { UV_THREADPOOL_SIZE: '14' };

export function storageProgram(settings: ServiceSettings, log: LayerLog): Program {
  return service('storage', 'storage/main.ts', STORAGE, FILE_THREADS, settings, log);
}

export function syncerPrograms(count: number, settings: ServiceSettings, log: LayerLog): Program[] {
  return numbered('syncer', count).map((name) =>
    service(name, 'syncer/main.ts', LISTENERS, {}, settings, log),
  );
}

const numbered = (kind: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${kind}-${index + 1}`);

/** Environment of the process with all services of a compact layer. */
export const compactEnvironment = (settings: ProgramSettings): NodeJS.ProcessEnv =>
  environmentOf(settings, { ...gatewayEnv(settings), ...bridgeEnv(settings) });

function gatewayEnv({ configuration, insecureListen, awaitToken }: ProgramSettings): NodeJS.ProcessEnv {
  const { listen, tls, gateways } = configuration;
  return {
    TERRACE_LISTEN: listen,
    TERRACE_TLS_CERTIFICATE: tls?.certificateFile ?? '',
    TERRACE_TLS_KEY: tls?.keyFile ?? '',
    TERRACE_GATEWAYS: String(gateways),
    TERRACE_INSECURE_LISTEN: insecureListen ? '1' : '',
    TERRACE_AWAIT_TOKEN: awaitToken ? '1' : '',
  };
}

function bridgeEnv({ overrides, defaults = {}, configFile }: ProgramSettings): NodeJS.ProcessEnv {
  return {
    TERRACE_OPTIONS: JSON.stringify(overrides),
    TERRACE_DEFAULTS: JSON.stringify(defaults),
    ...(configFile && { TERRACE_CONFIG_FILE: configFile }),
  };
}

const environmentOf = (
  { folder, name, busUrl, env }: ServiceSettings,
  extra: NodeJS.ProcessEnv,
): NodeJS.ProcessEnv => ({
  ...NODE_ENV,
  ...env,
  TERRACE_DATA: folder.root,
  TERRACE_BUS: busUrl,
  TERRACE_NAME: name,
  TERRACE_PERSON: currentUser(),
  ...extra,
});

function service(
  name: string,
  main: string,
  rank: number,
  extra: NodeJS.ProcessEnv,
  settings: ServiceSettings,
  log: LayerLog,
): Program {
  const path = join(import.meta.dirname, '../../services', main);
  return {
    name,
    rank,
    spawn: () => {
      const child = spawn(process.execPath, [...NODE_FLAGS, path], {
        env: environmentOf(settings, extra),
        // The IPC channel closes when the supervisor ends, and the service ends with it. Its own process group keeps
        // the terminal's Ctrl-C away from it: the supervisor decides the order of the stop.
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
        detached: true,
      });
      log.follow(name, child.stdout);
      log.follow(name, child.stderr);
      return child;
    },
  };
}
