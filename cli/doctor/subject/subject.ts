import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { passwordIn } from '#proto/accounts/password-hash.ts';
import { within } from '#proto/async/within.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import { isAzure } from '#proto/document/azure.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { DeclaredAccount } from '#proto/document/declared-accounts.ts';
import { files } from '#proto/document/files.ts';
import { environmentFields } from '#proto/document/resolve/module-environment.ts';
import { resolveDocument } from '#proto/document/resolve/resolve.ts';
import type { ProxyEnvironment } from '#proto/http/proxy-environment.ts';
import { loadWorkload } from '#proto/iot-edge/load-workload.ts';
import type { LayerStatus } from '#proto/overview/layer-status.ts';
import { findLayer } from '../../connection/connect.ts';
import { type DataFolder, dataFolder } from '../../data/data-folder.ts';
import { livingPid } from '../../data/pid-file.ts';
import { readConfigFile } from '../../input/layer-options.ts';
import { overridesOf, type UpOptions } from '../../input/options.ts';
import { refusalOf } from '../../terminal/failure.ts';
import type { ParentFacts, ParentTarget } from '../parent/parent-facts.ts';
import { type Mount, mountHere, natureOf } from './mount.ts';
import { environmentOf } from './service-process.ts';

/** What `terrace doctor` examines: a data folder, the layer that runs on it, if one does, and its configuration. */
export type Subject = {
  folder: DataFolder;
  /** `unanswered`: its file system does not answer, and nothing else may use it. */
  place: 'present' | 'missing' | 'unanswered';
  mount: Mount | undefined;
  /** The process that holds the folder. */
  holder: number | undefined;
  bus: Bus | undefined;
  /** Why the bus of the layer can't be used. */
  busFailure: string | undefined;
  /** Of the running layer. */
  status: LayerStatus | undefined;
  /** In force, or as the next start would have it; undefined if it is not valid. */
  configuration: Configuration | undefined;
  accounts: readonly DeclaredAccount[];
  complaints: readonly string[];
  /** Where the configuration is from, for a person. */
  source: string;
  /** Password of the parent, from the environment. */
  secret: string | undefined;
  env: NodeJS.ProcessEnv;
  parent: ParentTarget | undefined;
  facts: ParentFacts;
  /** When the newest file that a layer writes all the time was changed, in ms since 1970. */
  newestFile: () => Promise<number | undefined>;
};

/** Max time for the file system of the data folder to answer, in ms. */
export const GUARD_MS = 4_000;
/** Max time to connect to the bus, in ms. */
const CONNECT_MS = 6_000;
/** Max time for an answer of the layer, of which the status takes two in a row without storage, in ms. */
const ANSWER_MS = 2_500;
/** Max time for the daemon of an IoT Edge device to answer, in ms. */
const TRUST_MS = 3_000;

/** Reads what the checks need, within four fifths of the time at most. Changes nothing. */
export async function subjectOf(
  options: UpOptions,
  env: NodeJS.ProcessEnv,
  totalMs: number,
): Promise<Subject> {
  const share = (ms: number) => Math.min(ms, totalMs / 5);
  const folder = dataFolder(resolve(options.data));
  const mount = mountHere(folder.root);
  const place = await placeOf(folder.root, mount, share(GUARD_MS));
  const isUsable = place === 'present';
  const layer = isUsable
    ? await layerOf(folder, share)
    : { bus: undefined, busFailure: undefined, status: undefined };
  const holder = isUsable ? holderOf(folder) : undefined;
  const resolved = layer.status?.configuration
    ? inForce(layer.status)
    : layer.bus && !options.config && !options.parent
      ? NOT_KNOWN
      : configured(options, env, folder.root, place !== 'unanswered');
  const { configuration } = resolved;
  const target =
    configuration && parentOf(configuration, resolved.secret, environmentOf(layer.status, 'syncer') ?? env);
  return {
    ...{ folder, place, mount, holder, env },
    ...layer,
    ...resolved,
    parent: target && {
      ...target,
      ca: [target.ca, await deviceTrust(env, share(TRUST_MS))].filter(Boolean).join('\n') || undefined,
    },
    facts: {},
    newestFile: () => newestOf([folder.log, folder.pid]),
  };
}

/**
 * Whether the folder can be used. On a network file system another process finds out: one that waits for a server that
 * does not answer can't be stopped.
 */
async function placeOf(root: string, mount: Mount | undefined, withinMs: number): Promise<Subject['place']> {
  const nature = mount ? natureOf(mount.type) : 'disk';
  if (nature === 'network' || nature === 'user space') {
    if (!(await within(answers(root), withinMs))) return 'unanswered';
  }
  return existsSync(root) ? 'present' : 'missing';
}

const answers = (path: string): Promise<true> =>
  new Promise((done) => {
    const script = "require('node:fs').statSync(process.argv[1], { throwIfNoEntry: false })";
    const child = execFile(process.execPath, ['-e', script, path], () => done(true));
    child.unref();
  });

function holderOf({ pid }: DataFolder): number | undefined {
  try {
    return livingPid(pid);
  } catch {
    return undefined;
  }
}

async function layerOf(
  folder: DataFolder,
  share: (ms: number) => number,
): Promise<Pick<Subject, 'bus' | 'busFailure' | 'status'>> {
  let bus: Bus | undefined;
  try {
    const connecting = findLayer(folder, 'terrace-doctor').then((found) => ({ found }));
    const connected = await within(connecting, share(CONNECT_MS));
    if (!connected) {
      // It may still connect later: close it then.
      connecting.then(({ found }) => found?.[Symbol.asyncDispose]()).catch(() => {});
      return { bus, busFailure: BUS_SILENT, status: undefined };
    }
    bus = connected.found;
    if (!bus) return { bus, busFailure: undefined, status: undefined };
    const { layerStatus } = await import('#proto/overview/layer-status.ts');
    const status = await within(
      layerStatus(bus, { maxParked: 1_000, withinMs: share(ANSWER_MS) }),
      share(ANSWER_MS) * 2.4,
    );
    return { bus, busFailure: undefined, status };
  } catch (error) {
    return { bus, busFailure: refusalOf(error).message, status: undefined };
  }
}

const BUS_SILENT =
  'the bus of the layer accepts the connection, and does not answer: see data/log/terrace.log; restart the layer';

type Resolved = Pick<Subject, 'configuration' | 'accounts' | 'complaints' | 'source' | 'secret'>;

function inForce({ configuration, bridge }: LayerStatus): Resolved {
  const complaints = bridge?.complaints ?? [];
  return { configuration, accounts: [], complaints, source: 'that of the running layer', secret: undefined };
}

const NOT_KNOWN: Resolved = {
  ...{ configuration: undefined, accounts: [], complaints: [], secret: undefined },
  source: 'not known, as the layer does not answer',
};

/** As the next start would have it. Files that it names are checked by themselves. */
function configured(options: UpOptions, env: NodeJS.ProcessEnv, data: string, mayRead: boolean): Resolved {
  const none = { configuration: undefined, accounts: [], secret: undefined };
  const source = options.config ? `the file ${options.config}` : 'the options and defaults';
  try {
    const path = options.config && resolve(options.config);
    const text = path && mayRead ? readConfigFile(path) : undefined;
    const { fields: defaults, password: secret } = environmentFields(env, data, files.readable);
    const folder = path && dirname(path);
    const readable = () => true;
    const resolved = resolveDocument({ text, folder, overrides: overridesOf(options), defaults, readable });
    if ('complaints' in resolved) return { ...none, complaints: resolved.complaints, source };
    const { configuration, accounts } = resolved;
    return { configuration, accounts, complaints: [], source, secret };
  } catch (error) {
    if (Fault.is(error) || error instanceof Error) {
      return { ...none, complaints: refusalOf(error).message.split('\n'), source };
    }
    throw error;
  }
}

function parentOf(
  configuration: Configuration,
  secret: string | undefined,
  proxies: ProxyEnvironment,
): ParentTarget | undefined {
  const { parent, mode, repositories } = configuration;
  if (!parent || !URL.canParse(parent.url)) return undefined;
  const { url, username, passwordFile, caFile, certificateFile, keyFile, azure } = parent;
  return {
    ...{ url: new URL(url), username, caFile, certificateFile, keyFile, proxies, mode },
    password:
      secret ??
      (passwordFile === undefined ? undefined : passwordIn(textOf(passwordFile) ?? '') || undefined),
    hasIdentity: azure !== undefined && username === undefined,
    isAzure: isAzure(parent),
    allowedHosts: (parent.allowedHosts ?? []).map((host) => host.toLowerCase()),
    ca: caFile === undefined ? undefined : textOf(caFile),
    patterns: [...new Set(repositories.map(({ name, from }) => from ?? name))],
  };
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** Certificates that the device of an IoT Edge module trusts: the syncers trust them, too. */
async function deviceTrust(env: NodeJS.ProcessEnv, withinMs: number): Promise<string | undefined> {
  try {
    const workload = await loadWorkload(env);
    return await workload?.trustBundle(AbortSignal.timeout(Math.ceil(withinMs)));
  } catch {
    return undefined;
  }
}

async function newestOf(paths: readonly string[]): Promise<number | undefined> {
  const times = await Promise.all(
    paths.map(async (path) => (await stat(path).catch(() => undefined))?.mtimeMs),
  );
  return times.reduce((max, one) => (one !== undefined && one > (max ?? 0) ? one : max), undefined);
}
