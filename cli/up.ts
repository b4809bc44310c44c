import { accessSync, constants, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Configuration } from '#proto/configuration.ts';
import { dataFolder, makeFolders } from './data-folder.ts';
import { type Layer, startLayer } from './layer.ts';
import { LogFile, type Outlets } from './layer-log.ts';
import { configurationOf, overridesOf, type UpOptions } from './options.ts';
import { urlOf } from './ports.ts';
import { Refusal } from './refusal.ts';

export function up(program: Command): void {
  program
    .command('up')
    .description('start a layer and keep it running until Ctrl-C')
    .option('--data <dir>', 'folder of everything the layer keeps', 'data')
    .option('--listen <host:port>', 'address for container clients (default: 127.0.0.1:5000)')
    .option('--name <name>', 'name of the layer (default: layer)')
    .option('--mode <mode>', 'ReadWrite or ReadOnly (default: ReadOnly with a parent, else ReadWrite)')
    .option('--parent <url>', 'registry above this layer, as https://host')
    .option('--parent-username <name>', 'who this layer is at the parent')
    .option('--parent-password-file <file>', 'file that holds the password for the parent')
    .option('--repository <pattern...>', 'name, prefix/* or * of what comes from the parent (default: *)')
    .option('--schedule <cron>', 'when to synchronise: five fields, UTC (default: every minute)')
    .option('--syncers <n>', 'syncer processes (default: 1)')
    .option('--compact', 'all services in one process, for machines with little memory')
    .option('--config <file>', 'YAML file with the same settings; read again when it changes')
    .option('--insecure-listen', 'let other machines in although the layer has no accounts')
    .option('--log-json', 'write everything the services say to stdout, as JSON lines')
    .action(run);
}

async function run(options: UpOptions & { logJson?: boolean; compact?: boolean }): Promise<void> {
  const overrides = overridesOf(options);
  const configFile = options.config && resolve(options.config);
  const configuration = configurationOf(options, overrides, configFile && readConfig(configFile), readable);

  const end = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => end.abort());
  // A terminal that went away must not take the layer's end with it.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

  const data = resolve(options.data);
  const outlets = await outletsOf(data, options.logJson ?? false);
  const started = Date.now();
  const { compact } = options;
  const layer = await startLayer({ data, configuration, overrides, configFile, compact, outlets });
  try {
    await serve(layer, end.signal, outlets, () => welcome(options, configuration, Date.now() - started));
  } finally {
    outlets.screen('Stopping …');
    await layer.stop();
    outlets.screen('Stopped.');
  }
}

async function serve(layer: Layer, signal: AbortSignal, outlets: Outlets, greeting: () => string) {
  try {
    await layer.ready(signal, (missing) => outlets.screen(`Still waiting for ${missing.join(', ')} …`));
    outlets.screen(greeting());
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
}

/** For a person: what matters on the screen, all of it in a file. For a container: all of it on stdout. */
async function outletsOf(data: string, json: boolean): Promise<Outlets> {
  const write = (text: string) => void process.stdout.write(`${text}\n`);
  if (json) return { line: write, screen() {} };
  await makeFolders(data);
  return { line: new LogFile(dataFolder(data).log).write, screen: write };
}

function welcome(options: UpOptions, configuration: Configuration, ms: number): string {
  const { listen, name, mode, parent, repositories, tls } = configuration;
  const data = options.data === 'data' ? '' : ` --data ${options.data}`;
  const image = mode === 'ReadWrite' ? 'hello:1' : 'NAME:TAG';
  const plain = tls ? '' : ' --tls-verify=false';
  const rows = [
    ...(mode === 'ReadWrite' ? [['push', `podman push${plain} IMAGE ${listen}/${image}`]] : []),
    ['pull', `podman pull${plain} ${listen}/${image}`],
    ['status', `npx terrace status${data}`],
    ...(parent ? [['sync', `npx terrace sync${data}`]] : []),
  ];
  const source = parent ? `, from ${parent.url}: ${repositories.join(', ') || 'no repositories'}` : '';
  return [
    `Terrace serves layer "${name}" at ${urlOf(configuration)} (${mode}${source}); started in ${(ms / 1000).toFixed(1)} s.`,
    ...rows.map(([what, command]) => `  ${what?.padEnd(7)} ${command}`),
    `  ${'log'.padEnd(7)} ${dataFolder(resolve(options.data)).log}`,
    'Ctrl-C stops it.',
  ].join('\n');
}

function readConfig(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Refusal(`--config: ${path} can't be read (${code}): name a file that is there`, 2);
  }
}

function readable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
