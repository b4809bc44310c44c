import { Fault } from '#proto/contract/fault.ts';
import { environmentFields, isConnectedRegistry } from '#proto/document/resolve/module-environment.ts';
import { type Overrides, resolveDocument } from '#proto/document/resolve/resolve.ts';
import { connectedRegistryVariables, layerVariables } from '#proto/process/environment.ts';
import type { Complaint } from '../schema/schema-complaints.ts';
import { catalogComplaints } from './catalog-rule.ts';
import type { Module } from './modules.ts';
import type { Twin } from './twins.ts';

/** A module that is a Terrace: its environment and its twin configure a layer, as the layer itself will read them. */

const repositoryOf = (image: string) => (image.split('@', 1)[0] as string).replace(/:[^/:]*$/, '');

export const isTerrace = ({ name, image }: Module): boolean =>
  name === 'terrace' || /(?:^|\/)terrace$/.test(repositoryOf(image));

export function listenPortOf({ env, options }: Module): string {
  const command: unknown[] = Array.isArray(options.Cmd) ? options.Cmd : [];
  const option = command.indexOf('--listen');
  const listen =
    (option < 0 ? undefined : String(command[option + 1])) ??
    env.get('TERRACE_LISTEN') ??
    (isConnectedRegistry(Object.fromEntries(env)) ? ':8080' : ':5000');
  return listen.slice(listen.lastIndexOf(':') + 1);
}

/** `hasCatalog`: the sync token of a top layer may list the catalog. @param twin its twin, if the manifest has it */
export function terraceComplaints(
  module: Module,
  twin: Twin | undefined,
  { isLayered, hasCatalog }: { isLayered: boolean; hasCatalog: boolean },
): Complaint[] {
  const { name, at } = module;
  const complaints = [...variableComplaints(module)];
  const env = { IOTEDGE_MODULEID: name, IOTEDGE_PARENTHOSTNAME: 'parent', ...Object.fromEntries(module.env) };
  let defaults: Overrides = {};
  try {
    defaults = environmentFields(env, '/data', () => false).fields;
  } catch (error) {
    if (!Fault.is(error)) throw error;
    complaints.push({ at: `${at}.env`, text: `${at}.env: ${error.message}` });
    // So that its twin is checked as that of a layer with a parent.
    if (isConnectedRegistry(env)) defaults = PARENT;
  }
  if (!twin) return complaints;
  const resolved = resolveDocument({
    text: JSON.stringify(twin.desired),
    late: true,
    // Another deployment may have the environment.
    defaults: isLayered ? { ...PARENT, ...defaults } : defaults,
    readable: () => true,
  });
  const catalog = 'configuration' in resolved && !hasCatalog ? catalogComplaints(resolved.configuration) : [];
  for (const complaint of 'complaints' in resolved ? resolved.complaints : catalog)
    complaints.push({ at: name, text: `${name}.${complaint}` });
  return complaints;
}

const PARENT: Overrides = { parent: { url: 'https://parent.example' } };

const known = Object.keys({ ...layerVariables, ...connectedRegistryVariables });

function variableComplaints({ at, env }: Module): Complaint[] {
  return [...env.keys()]
    .filter((variable) => /^(?:ACR|TERRACE)_/.test(variable) && !known.includes(variable))
    .map((variable) => ({
      at: `${at}.env.${variable}`,
      text: `${at}.env.${variable} is not a variable of Terrace: the variables are ${known.filter((one) => /^(?:ACR|TERRACE)_/.test(one)).join(', ')}`,
    }));
}
