import { readFileSync } from 'node:fs';
import { Argument, type Command } from 'commander';
import { hashPassword } from '#proto/accounts/password-hash.ts';
import { selectionOption } from '../../input/selection-option.ts';
import { manifestComplaints } from '../../iotedge/iotedge-check.ts';
import { deploymentManifest, type LayerKind, layerKinds } from '../../iotedge/iotedge-manifest.ts';
import { challenges, type GivenOptions, modes, optionComplaints } from '../../iotedge/manifest-options.ts';
import { Refusal } from '../../terminal/refusal.ts';
import { print, printError, printJson } from '../../terminal/terminal.ts';

const CATALOG = [
  '--catalog',
  'the sync token of a top layer may list the catalog of an Azure registry: its scope map covers *',
] as const;
const PLACEHOLDER = '<SYNC_TOKEN_PASSWORD>';
/** A hash of nothing, in place of the placeholder of a hash while a manifest is validated. */
const SOME_HASH = `scrypt$14$8$1$${'A'.repeat(22)}$${'A'.repeat(43)}`;

type CheckOptions = Pick<GivenOptions, 'catalog'> & { json?: boolean };

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
    .option('--mode <mode>', `mode in the twin: ${modes.join(' or ')}`, 'ReadOnly')
    .option(
      '--repository <pattern...>',
      'repositories in the twin: a name, prefix/* or *; NAME=AS for another name in the layer',
      ['*'],
    )
    .option(
      '--child <name...>',
      'layer below that logs in with its sync token; NAME=FILE: the file has the password, of which the twin gets the hash (default: a placeholder)',
    )
    .option(
      '--challenge <kind>',
      `challenge in the twin: ${challenges.join(' or ')}; through a layer without a registry, most clients can log in with Basic only`,
      'Basic',
    )
    .option(...CATALOG)
    .option('--no-desired', 'leave the desired properties out: operators set them')
    .action(printManifest);
  group
    .command('check')
    .description('validate a deployment manifest')
    .argument('<file>', 'the manifest, JSON')
    .option(...CATALOG)
    .option('--json', 'as JSON')
    .action((file: string, { catalog: hasCatalog, json }: CheckOptions) => {
      const complaints = manifestComplaints(parsed(file), { hasCatalog });
      if (json) {
        printJson(JSON.stringify({ file, valid: complaints.length === 0, complaints }, null, 2));
        if (complaints.length > 0) process.exitCode = 1;
        return;
      }
      if (complaints.length > 0) throw new Refusal(complaints.join('\n'));
      print(`${file} is valid.`);
    });
}

async function printManifest(layer: LayerKind, given: GivenOptions, command: Command): Promise<void> {
  const isGiven = (option: keyof GivenOptions) => command.getOptionValueSource(option) === 'cli';
  const { complaints, passwords } = optionComplaints({ layer, given, isGiven, readFile: readText });
  if (complaints.length > 0) throw new Refusal(complaints.join('\n'), 2);
  const {
    name,
    token = name,
    port,
    parent = '',
    mode,
    challenge,
    repository,
    desired,
    catalog,
    ...rest
  } = given;
  const above = layer === 'top' ? parent : `$upstream:${port}`;
  const hashes = await Promise.all(
    passwords.children.map(async (child) => ({
      name: child.name,
      hash: child.password === undefined ? undefined : await hashPassword(child.password),
    })),
  );
  const build = (password: string, otherHash: (child: string) => string) =>
    deploymentManifest({
      ...rest,
      layer,
      parent,
      name,
      token,
      image: given.image ?? `${above}/terrace:1`,
      port: Number(port),
      password: passwords.own ?? password,
      desired: desired
        ? {
            mode,
            challenge,
            repositories: repository.map(selectionOption),
            children: hashes.map((child) => ({
              name: child.name,
              hash: child.hash ?? otherHash(child.name),
            })),
          }
        : undefined,
    });
  const example = build('some-password', () => SOME_HASH);
  const faults = manifestComplaints(example, { hasCatalog: catalog });
  if (faults.length > 0) throw new Refusal(faults.join('\n'), 2);
  const placeholderOf = (child: string) => `<HASH_OF_${child.toUpperCase().replaceAll('-', '_')}>`;
  printJson(JSON.stringify(build(PLACEHOLDER, placeholderOf), null, 2));
  const open = [
    ...(passwords.own === undefined ? [`${PLACEHOLDER} by the password of the sync token ${token}`] : []),
    ...(layer === 'pass-through' || !desired ? [] : hashes)
      .filter(({ hash }) => hash === undefined)
      .map((child) => `${placeholderOf(child.name)} by the output of "terrace token hash" for ${child.name}`),
  ];
  if (open.length > 0) printError(`Replace ${open.join(', and ')}.`);
}

function readText(file: string): { text: string } | { cause: string } {
  try {
    return { text: readFileSync(file, 'utf8') };
  } catch (error) {
    return { cause: (error as NodeJS.ErrnoException).code ?? 'unknown error' };
  }
}

function parsed(file: string): unknown {
  const read = readText(file);
  if ('cause' in read) throw new Refusal(`${file} can't be read (${read.cause}): name another file`, 2);
  try {
    // Some editors write a byte order mark.
    return JSON.parse(read.text.replace(/^\uFEFF/, ''));
  } catch (error) {
    throw new Refusal(`${file} is not JSON: ${(error as Error).message}`, 2);
  }
}
