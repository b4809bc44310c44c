import { join } from 'node:path';
import type { TSchema } from '@sinclair/typebox';
import { Document } from '#proto/document/document.ts';
import { fieldsOf } from '#proto/document/fields.ts';
import {
  connectedRegistryVariables,
  layerVariables,
  moduleVariables,
  serviceVariables,
  traceVariables,
  type Variable,
} from '#proto/process/environment.ts';
import type * as Options from '../../cli/input/options.ts';
import { program } from './command-line.ts';
import { code, item, page, table } from './markdown.ts';
import { boundsOf, typeOf, variantsOf } from './schemas.ts';

/** docs/reference/configuration.md */

const cli = join(import.meta.dirname, '../../cli');
// Loaded by path, see command-line.ts.
const { overridesOf } = (await import(join(cli, 'input/options.ts'))) as typeof Options;

const fields = [...fieldsOf(Document)];
const ownerOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('.')));

/** Paths of the fields that an override sets. */
function pathsIn(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [path];
  return Object.entries(value).flatMap(([name, inner]) => pathsIn(inner, path ? `${path}.${name}` : name));
}

/** Options of `terrace up`, by the field that each sets. */
const options = new Map(
  (program.commands.find((command) => command.name() === 'up')?.options ?? []).flatMap((option) =>
    pathsIn(
      overridesOf({
        data: '',
        [option.attributeName()]: option.variadic ? ['value'] : 'value',
      } as Options.UpOptions),
    ).map((path): [string, string] => [path, option.long ?? '']),
  ),
);

function defaultOf({ default: value, otherwise }: TSchema): string {
  if (value === undefined) return otherwise ?? '';
  return code(Array.isArray(value) || typeof value !== 'string' ? JSON.stringify(value) : value);
}

function rowOf([path, schema]: readonly [string, TSchema], required: boolean): string[] {
  const option = options.get(path);
  return [
    code(path),
    typeOf(schema),
    boundsOf(schema),
    option ? code(option) : '',
    required ? 'required' : defaultOf(schema),
  ];
}

const AT_START = ' Takes effect at the next start.';

function meaningOf([path, { description = '', remedy, atStart }]: readonly [string, TSchema]): string {
  const effect = atStart && !description.includes('at the next start') ? AT_START : '';
  return item(`${code(path)}: ${description}${effect} *Valid:* ${code(remedy)}.`);
}

function sectionOf(owner: string): string {
  const own = fields.filter(([path]) => ownerOf(path) === owner);
  const required = requiredIn(owner);
  return [
    owner ? `## ${owner}` : '## Fields',
    table(
      ['Field', 'Type', 'Bounds', 'Option', 'Default'],
      own.map((field) => rowOf(field, required.has(field[0].split('.').at(-1) as string))),
    ),
    own.map(meaningOf).join('\n'),
  ].join('\n\n');
}

/** Names of the fields that the mapping at this path, or each mapping of the list there, must have. */
function requiredIn(owner: string): Set<string> {
  const schema = owner ? fields.find(([path]) => path === owner)?.[1] : Document;
  const mappings: TSchema[] = [];
  const visit = (one: TSchema): void => {
    if (one.properties) mappings.push(one);
    for (const inner of [...(one.items ? [one.items] : []), ...variantsOf(one)]) visit(inner);
  };
  if (schema) visit(schema);
  return new Set(mappings.flatMap(({ required = [] }) => required as string[]));
}

const variableRows = (variables: Record<string, Variable>): string[][] =>
  Object.entries(variables).map(([name, { description, default: value = '' }]) => [
    code(name),
    value,
    description,
  ]);
const variableTable = (variables: Record<string, Variable>): string =>
  table(['Variable', 'Default', 'Meaning'], variableRows(variables));

export function configurationPage(): string {
  const owners = [...new Set(fields.map(([path]) => ownerOf(path)))];
  return page(
    'Configuration',
    'For operators: every field of the configuration document, and every environment variable.',
    'A document is YAML, given with `terrace up --config FILE`, or the desired properties of a module twin. Options of the command line take precedence over the document, and the document over the environment. The file is read again when it changes. A document that is not valid changes nothing: the previous configuration stays in force, and `terrace status` says why. Each complaint names the field and ends with what is under *Valid* below. Relative paths are relative to the folder of the document. A change takes effect at once, except where a field says so. `terrace config check FILE` checks a document before it is in force, `terrace config show` has what is in force and where each value is from.',
    'Editors complete and check the fields by the schema that `terrace config schema > terrace.schema.json` writes: begin the document with `# yaml-language-server: $schema=terrace.schema.json`.',
    'Durations are ISO 8601 (`PT90M`, `P1DT12H`), sizes are bytes with a unit (`512MiB`, `2GB`), rates are bits a second (`2Mbit`), times are UTC. A pattern is the name of a repository, `prefix/*` or `*`. A field without a value counts as absent; a field that does not exist is refused.',
    ...owners.map(sectionOf),
    '## Environment',
    'The environment applies where neither an option nor a document sets the field.',
    variableTable(layerVariables),
    '### Traces',
    "Names of OpenTelemetry's specification ([Traces](../operating/traces.md)). All processes of a layer read them.",
    variableTable(traceVariables),
    '### Connected registry',
    "Names that deployments of Azure Container Registry's connected registry use.",
    variableTable(connectedRegistryVariables),
    '### Services in processes of their own',
    'Set by `terrace up` for its processes, and by deployments that run each service apart ([containers](../guides/containers.md)).',
    variableTable(serviceVariables),
    '### IoT Edge',
    'Set by edgeAgent for each module.',
    variableTable(moduleVariables),
  );
}
