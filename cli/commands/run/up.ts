import { resolve } from 'node:path';
import type { Command } from 'commander';
import { files } from '#proto/document/files.ts';
import { releaseMemory } from '#proto/process/release-memory.ts';
import { dataFolder, makeFolders } from '../../data/data-folder.ts';
import { dataOption } from '../../data/data-option.ts';
import { environmentOf, withoutSecrets } from '../../input/environment-defaults.ts';
import { addLayerOptions, readConfigFile } from '../../input/layer-options.ts';
import { overridesOf, resolveConfiguration, type UpOptions } from '../../input/options.ts';
import { mayGetTokensLater, mustHaveDataToListen } from '../../layer/accounts-rule.ts';
import { type Layer, startLayer } from '../../layer/layer.ts';
import { LogFile, type Outlets } from '../../layer/layer-log.ts';
import { ServiceManager, withoutManager } from '../../layer/service-manager.ts';
import { terminalWidth } from '../../terminal/layout.ts';
import { logLine } from '../../terminal/log-line.ts';
import { print, printJson } from '../../terminal/terminal.ts';
import { type Greeting, welcome } from '../../text/welcome.ts';

/** Delay of the release of memory, in ms: services and clients that start need the processors. */
const RELEASE_MS = 5_000;

export function addUpCommand(program: Command): void {
  const command = program
    .command('up')
    .description('start a layer, and keep it running until Ctrl-C')
    .addOption(dataOption('folder for all data of the layer'));
  addLayerOptions(command)
    .option('--compact', 'all services in one process, for machines with little memory')
    .option('--insecure-listen', 'accept clients from other machines even if the layer has no accounts')
    .option('--log-json', 'write the complete log of the services to stdout, as JSON lines')
    .action(runLayer);
}

type Options = UpOptions & { logJson?: boolean; compact?: boolean };

async function runLayer(options: Options): Promise<void> {
  const data = resolve(options.data);
  const defaults = environmentOf(process.env, data, files.readable);
  const overrides = overridesOf(options);
  const configFile = options.config && resolve(options.config);
  const text = configFile && readConfigFile(configFile);
  const resolved = resolveConfiguration(options, overrides, text, files, defaults);
  const { configuration } = resolved;

  const { compact, insecureListen } = options;
  const awaitToken = mayGetTokensLater(resolved, process.env);
  if (!insecureListen && !awaitToken) mustHaveDataToListen(data, configuration);

  const end = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => end.abort());
  // A closed terminal must not prevent the layer's stop.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

  const outlets = await outletsOf(data, options.logJson ?? false);
  const started = performance.now();
  const settings = {
    data,
    configuration,
    overrides,
    defaults,
    configFile,
    compact,
    insecureListen,
    awaitToken,
  };
  const warn = (message: string) => {
    outlets.line(logLine('warn', configuration.name, message));
    outlets.terminal(message);
  };
  const manager = ServiceManager.of({ env: process.env, data, warn });
  const env = withoutManager(withoutSecrets(process.env));
  const layer = await startLayer({ ...settings, outlets, env });
  const greeting = (accounts: Accounts) =>
    welcome(
      { data: options.data, configuration, ...accounts, ms: performance.now() - started },
      process.stdout.isTTY ? terminalWidth() : undefined,
    );
  try {
    await serve({ layer, signal: end.signal, outlets, greeting, manager });
  } finally {
    outlets.terminal('Stopping …');
    void manager?.stopping();
    await layer.stop();
    outlets.terminal('Stopped.');
  }
}

type Serving = {
  layer: Layer;
  signal: AbortSignal;
  outlets: Outlets;
  greeting: (accounts: Accounts) => string;
  manager: ServiceManager | undefined;
};

async function serve({ layer, signal, outlets, greeting, manager }: Serving): Promise<void> {
  try {
    await layer.ready(signal, (missing) => {
      outlets.terminal(`Still waiting for ${missing.join(', ')} …`);
      void manager?.waiting(missing);
    });
    const text = greeting(await accountsOf(layer, signal));
    outlets.terminal(text);
    const [status = ''] = text.split(';');
    void manager?.ready(status).then(() => manager.keepAlive(status, signal));
    // From here on this process only supervises: release the memory that the start needed.
    setTimeout(releaseMemory, RELEASE_MS).unref();
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve));
  if (!signal.aborted) await Promise.race([aborted, layer.unrecoverable]);
}

type Accounts = Pick<Greeting, 'tokens' | 'closed' | 'open'>;

async function accountsOf({ data }: Layer, signal: AbortSignal): Promise<Accounts> {
  const [{ connectOperator }, { alive }, { storageStatus }] = await Promise.all([
    import('../../connection/connect.ts'),
    import('#proto/status/status.ts'),
    import('#proto/status/storage-status.ts'),
  ]);
  await using bus = await connectOperator(data, 'terrace-up');
  const { tokens, closed } = await bus.call(storageStatus, {}, { signal });
  const { open } = await bus.call(alive.gateway, {}, { signal });
  return { tokens, closed, open };
}

/** For people: what matters on the screen, the complete log in a file. For a container: the complete log on stdout. */
async function outletsOf(data: string, json: boolean): Promise<Outlets> {
  if (json) return { line: printJson, terminal() {} };
  await makeFolders(data);
  return { line: new LogFile(dataFolder(data).log).write, terminal: print };
}
