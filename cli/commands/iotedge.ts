import { readFileSync } from 'node:fs';
import { Argument, type Command } from 'commander';
import { selectionOption } from '../input/selection-option.ts';
import { manifestComplaints } from '../iotedge/iotedge-check.ts';
import { deploymentManifest, type LayerKind, layerKinds } from '../iotedge/iotedge-manifest.ts';
import { Refusal } from '../terminal/refusal.ts';
import { print, printJson } from '../terminal/terminal.ts';

type Options = {
  image?: string;
  parent?: string;
  name: string;
  token?: string;
  passwordFile?: string;
  port: string;
  folder: string;
  user: string;
  edge: string;
  repository: string[];
  mode: string;
  catalog?: boolean;
  desired: boolean;
};

const CATALOG = [
  '--catalog',
  'the sync token of a top layer may list the catalog of an Azure registry: its scope map covers *',
] as const;
const PLACEHOLDER = '<SYNC_TOKEN_PASSWORD>';

export function addIotedgeCommand(program: Command): void {
  const group = program.command('iotedge').description('create and check deployment manifests of IoT Edge');
  group
    .command('manifest')
    .description('print the deployment manifest of a layer')
    .addArgument(new Argument('<layer>', 'kind of layer on the device').choices(layerKinds))
    .option('--image <image>', 'image of Terrace (default: terrace:1 from the registry above)')
    .option('--parent <host>', 'registry above the top layer, such as contoso.azurecr.io')
    .option('--name <name>', 'name of the layer', 'terrace')
    .option('--token <name>', 'name of its sync token at the parent (default: the name of the layer)')
    .option(
      '--password-file <file>',
      `file with the password of that token (default: ${PLACEHOLDER} to replace)`,
    )
    .option('--port <port>', 'port of the API proxy, the same in every layer', '8000')
    .option('--folder <dir>', 'folder of the device for persistent data', '/srv/iotedge')
    .option('--user <uid:gid>', 'owner of the subfolder terrace', '10001:10001')
    .option('--edge <version>', 'version of IoT Edge', '1.6')
    .option('--mode <mode>', 'mode in the twin: ReadOnly or ReadWrite', 'ReadOnly')
    .option(
      '--repository <pattern...>',
      'repositories in the twin: a name, prefix/* or *; NAME=AS for another name in the layer',
      ['*'],
    )
    .option(...CATALOG)
    .option('--no-desired', 'leave the desired properties out: operators set them')
    .action((layer: LayerKind, options: Options) => printJson(textOf(layer, options)));
  group
    .command('check')
    .description('validate a deployment manifest')
    .argument('<file>')
    .option(...CATALOG)
    .action((file: string, { catalog: hasCatalog }: Pick<Options, 'catalog'>) => {
      const complaints = manifestComplaints(parsed(file), { hasCatalog });
      if (complaints.length > 0) throw new Refusal(complaints.join('\n'));
      print(`${file} is valid.`);
    });
}

function textOf(layer: LayerKind, given: Options): string {
  const { name, token = name, port, parent = '', mode, repository, desired, catalog, ...rest } = given;
  if (layer === 'top' && !parent) throw new Refusal('--parent is missing: name the registry above', 2);
  const above = layer === 'top' ? parent : `$upstream:${port}`;
  const manifest = deploymentManifest({
    ...rest,
    layer,
    parent,
    name,
    token,
    image: given.image ?? `${above}/terrace:1`,
    port: Number(port),
    password: given.passwordFile ? read(given.passwordFile).trim() : PLACEHOLDER,
    desired: desired ? { mode, repositories: repository.map(selectionOption) } : undefined,
  });
  const complaints = manifestComplaints(manifest, { hasCatalog: catalog });
  if (complaints.length > 0) throw new Refusal(complaints.join('\n'), 2);
  return JSON.stringify(manifest, null, 2);
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Refusal(
      `${file} can't be read (${(error as NodeJS.ErrnoException).code}): name another file`,
      2,
    );
  }
}

function parsed(file: string): unknown {
  try {
    return JSON.parse(read(file));
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal(`${file} is not JSON: ${(error as Error).message}`, 2);
  }
}
