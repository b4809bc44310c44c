import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, waitForPort } from '../../cli/data/ports.ts';
import { Refusal } from '../../cli/terminal/refusal.ts';
import { WatchedLayer, type WatchedLayerOptions } from './watched-layer.ts';

/** What the demo calls the cloud: a registry above the first layer. */

export type Cloud = AsyncDisposable & { url: string; program: string };
export const cloudKinds = ['docker-registry', 'terrace'] as const;
export type CloudKind = (typeof cloudKinds)[number];

/** Max time for docker-registry to start, in ms. */
const START_MS = 30_000;

/** docker-registry if it is installed, which is no Terrace; else a Terrace without a parent. */
export const availableCloud = (): CloudKind =>
  spawnSync('docker-registry', ['--version'], { stdio: 'ignore' }).status === 0
    ? 'docker-registry'
    : 'terrace';

export async function startCloud(
  kind: CloudKind,
  options: Omit<WatchedLayerOptions, 'name' | 'parent'>,
): Promise<Cloud> {
  if (kind === 'docker-registry') return startDockerRegistry(options.folder);
  const layer = await WatchedLayer.start({ ...options, name: 'cloud' });
  return {
    url: layer.url,
    program: 'a Terrace without a parent',
    [Symbol.asyncDispose]: () => layer[Symbol.asyncDispose](),
  };
}

async function startDockerRegistry(parentFolder: string): Promise<Cloud> {
  const folder = join(parentFolder, 'cloud');
  await mkdir(folder, { recursive: true });
  const address = { host: '127.0.0.1', port: await freePort() };
  const configuration = join(folder, 'config.yml');
  const document = {
    version: '0.1',
    log: { level: 'warn', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, 'registry') }, delete: { enabled: true } },
    http: { addr: `${address.host}:${address.port}` },
  };
  // JSON is YAML.
  await writeFile(configuration, JSON.stringify(document));
  const log = join(folder, 'log');
  const output = openSync(log, 'a');
  const child = spawn('docker-registry', ['serve', configuration], { stdio: ['ignore', output, output] });
  closeSync(output);
  child.on('error', () => {});
  const end = () => child.kill('SIGKILL');
  process.once('exit', end);
  const stop = async () => {
    process.off('exit', end);
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  if (!(await waitForPort(address, START_MS))) {
    await stop();
    throw new Refusal(`docker-registry did not start: see ${log}, or use --cloud terrace`);
  }
  return {
    url: `http://${address.host}:${address.port}`,
    program: 'docker-registry',
    [Symbol.asyncDispose]: stop,
  };
}
