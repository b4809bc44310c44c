import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { type LayerStatus, layerStatus } from '#proto/overview/layer-status.ts';
import { version } from '#proto/process/version.ts';
import { METADATA_VERSION, MIN_METADATA_VERSION } from '#proto/volume/metadata-version.ts';
import { findLayer } from '../../connection/connect.ts';
import { dataFolder } from '../../data/data-folder.ts';
import { dataOption } from '../../data/data-option.ts';
import { installedNatsServer } from '../../layer/nats-server.ts';
import { refusalOf } from '../../terminal/failure.ts';
import { terminalWidth, wrapLines } from '../../terminal/layout.ts';
import { table } from '../../terminal/table.ts';
import { print, printJson } from '../../terminal/terminal.ts';

/** Max time for a running layer, and for a nats-server, to answer, in ms. */
const ANSWER_MS = 3_000;

type Program = { path: string; version?: string };

/** What runs here, or would run. */
export type Versions = {
  terrace: string;
  node: Program;
  /** The program that `terrace up` starts; `problem`: why there is none. */
  natsServer: Program | { problem: string };
  /** Versions of stored metadata: those that can be read, of which the last one is written. */
  metadata: { min: number; max: number };
  data: string;
  /** Absent if no layer runs on the data folder. */
  layer?: { services: { service: string; host: string; version?: string }[]; natsServer?: string };
  /** What differs between the running layer and this program, in sentences. */
  differences: string[];
  /** Why the running layer could not be asked. */
  problem?: string;
};

export function addVersionCommand(program: Command): void {
  program
    .command('version')
    .description('print the versions of Terrace, Node and nats-server, and of a running layer')
    .addOption(dataOption())
    .option('--json', 'as JSON')
    .action(async ({ data, json }: { data: string; json?: boolean }) => {
      const versions = await readVersions(resolve(data), process.env);
      if (json) printJson(JSON.stringify(versions, null, 2));
      else print(describeVersions(versions, terminalWidth()));
    });
}

async function readVersions(data: string, env: NodeJS.ProcessEnv): Promise<Versions> {
  const [natsServer, running] = await Promise.all([natsServerOf(env), runningOn(data)]);
  const terrace = version();
  return {
    terrace,
    node: { path: process.execPath, version: process.versions.node },
    natsServer,
    metadata: { min: MIN_METADATA_VERSION, max: METADATA_VERSION },
    data,
    ...running,
    differences: running.layer ? differencesOf(terrace, natsServer, running.layer) : [],
  };
}

async function natsServerOf(env: NodeJS.ProcessEnv): Promise<Versions['natsServer']> {
  try {
    const path = installedNatsServer(env);
    if (path === undefined) return { problem: 'not installed' };
    const { stdout } = await promisify(execFile)(path, ['--version'], { timeout: ANSWER_MS });
    const found = /v?(\d+\.\d+\.\d+\S*)/.exec(stdout)?.[1];
    return { path, ...(found && { version: found }) };
  } catch (error) {
    return { problem: refusalOf(error).message };
  }
}

async function runningOn(data: string): Promise<Pick<Versions, 'layer' | 'problem'>> {
  try {
    await using bus = await findLayer(dataFolder(data));
    if (!bus) return {};
    const status = await layerStatus(bus, { withoutParked: true, withinMs: ANSWER_MS });
    return { layer: layerOf(status) };
  } catch (error) {
    return { problem: refusalOf(error).message };
  }
}

const layerOf = ({ services, natsServer }: LayerStatus): NonNullable<Versions['layer']> => ({
  services: services.map(({ service, host, version: running }) => ({
    service,
    host,
    ...(running && { version: running }),
  })),
  ...(natsServer && { natsServer: natsServer.version }),
});

export function differencesOf(
  terrace: string,
  natsServer: Versions['natsServer'],
  { services, natsServer: running }: NonNullable<Versions['layer']>,
): string[] {
  const others = [...new Set(services.map((one) => one.version ?? 'unknown'))].filter(
    (one) => one !== terrace,
  );
  const isOther = 'version' in natsServer && running !== undefined && natsServer.version !== running;
  return [
    ...others.map((other) => {
      const names = services.filter((one) => (one.version ?? 'unknown') === other);
      const listed = [...new Set(names.map(({ service }) => service))].join(', ');
      return `${listed} of the layer ${names.length === 1 ? 'runs' : 'run'} version ${other}, this command is ${terrace}: restart the layer, or use the command of its version`;
    }),
    ...(isOther
      ? [
          `the layer runs nats-server ${running}, installed is ${natsServer.version}: it is used from the next start on`,
        ]
      : []),
  ];
}

export function describeVersions(versions: Versions, width: number): string {
  const { terrace, node, natsServer, metadata, data, layer, differences, problem } = versions;
  const running = layer
    ? `runs on ${data}: ${listOf(layer)}`
    : problem
      ? `runs on ${data}, and can't be asked: ${problem}`
      : `none runs on ${data}`;
  const rows = [
    ['Terrace', terrace],
    ['Node', `${node.version} (${node.path})`],
    [
      'nats-server',
      'problem' in natsServer
        ? natsServer.problem
        : `${natsServer.version ?? 'unknown'} (${natsServer.path})`,
    ],
    ['Metadata', `version ${metadata.max}; reads versions ${metadata.min} to ${metadata.max}`],
    ['Layer', running],
  ];
  const notes = differences.map((one) => wrapLines(`${one[0]?.toUpperCase()}${one.slice(1)}.`, width));
  return [table(rows, width), ...notes].join('\n');
}

function listOf({ services, natsServer }: NonNullable<Versions['layer']>): string {
  const versions = [...new Set(services.map((one) => one.version ?? 'unknown'))];
  const server = natsServer ? [`nats-server ${natsServer}`] : [];
  return [...versions.map((one) => `Terrace ${one}`), ...server].join(', ');
}
