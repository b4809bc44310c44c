import { isMapping } from '#proto/contract/plain-data.ts';
import { environmentFields } from '#proto/document/resolve/module-environment.ts';
import { resolveDocument } from '#proto/document/resolve/resolve.ts';
import { twinComplaints } from '#proto/iot-edge/twin-rules.ts';
import { catalogComplaints } from './catalog-rule.ts';
import { pieceComplaints } from './iotedge-options.ts';

/**
 * Validation of deployment manifests before a device gets them: the schemas of azure-iot-cli-extension, and the
 * checks of edgeAgent itself. Pure; each complaint is one sentence that names the place and the remedy.
 */

type Fields = Record<string, unknown>;

const allowedValues: Record<string, string[]> = {
  type: ['docker'],
  status: ['running', 'stopped'],
  restartPolicy: ['always', 'on-failure', 'on-unhealthy', 'never'],
  imagePullPolicy: ['on-create', 'never'],
};
const MODULE = [
  'version',
  'type',
  'status',
  'restartPolicy',
  'startupOrder',
  'imagePullPolicy',
  'env',
  'settings',
];
const AGENT = ['schemaVersion', 'runtime', 'systemModules', 'modules'];
const HUB = ['schemaVersion', 'routes', 'storeAndForwardConfiguration'];

/** @param hasCatalog the sync token of a top layer may list the catalog */
export function manifestComplaints(manifest: unknown, { hasCatalog = false } = {}): string[] {
  const content = isMapping(manifest) ? manifest.modulesContent : undefined;
  if (!isMapping(content))
    return ['modulesContent is missing: a manifest starts with {"modulesContent": {"$edgeAgent": …'];
  const complaints: string[] = [];
  for (const [name, twin] of Object.entries(content)) {
    const desired = isMapping(twin) ? twin['properties.desired'] : undefined;
    if (!isMapping(desired))
      complaints.push(`${name} has no "properties.desired": write it, or leave ${name} out`);
    else for (const complaint of twinComplaints(desired, name)) complaints.push(complaint);
  }
  const desiredOf = (name: string) => {
    const twin = content[name];
    return isMapping(twin) && isMapping(twin['properties.desired']) ? twin['properties.desired'] : {};
  };
  const [agent, hub] = [desiredOf('$edgeAgent'), desiredOf('$edgeHub')];
  for (const complaint of unknown(agent, AGENT, '$edgeAgent')) complaints.push(complaint);
  for (const complaint of unknown(hub, HUB, '$edgeHub')) complaints.push(complaint);
  if (agent.schemaVersion !== '1.0' && agent.schemaVersion !== '1.1') {
    complaints.push('$edgeAgent.schemaVersion is not valid: write "1.1"');
  }
  if (!['1.0', '1.1', '1.2'].includes(String(hub.schemaVersion))) {
    complaints.push('$edgeHub.schemaVersion is not valid: write "1.2"');
  }
  const modules: Fields = isMapping(agent.modules) ? agent.modules : {};
  const system: Fields = isMapping(agent.systemModules) ? agent.systemModules : {};
  for (const name of ['edgeAgent', 'edgeHub']) {
    if (!isMapping(system[name])) complaints.push(`$edgeAgent.systemModules.${name} is missing: write it`);
  }
  for (const [name, module] of Object.entries({ ...system, ...modules })) {
    for (const complaint of moduleComplaints(name, module)) complaints.push(complaint);
  }
  for (const name of Object.keys(content)) {
    if (!name.startsWith('$') && !(name in modules))
      complaints.push(`${name} is not a module of $edgeAgent: add it there`);
  }
  for (const name of hasCatalog ? [] : Object.keys(modules)) {
    if (isMapping(content[name]))
      for (const complaint of patternComplaints(modules[name], desiredOf(name)))
        complaints.push(`${name}.${complaint}`);
  }
  return [...complaints, ...credentialComplaints(agent)];
}

function patternComplaints(module: unknown, desired: Fields): string[] {
  const env = isMapping(module) && isMapping(module.env) ? module.env : {};
  const values = Object.entries(env).map(([key, one]) => [key, isMapping(one) ? one.value : undefined]);
  try {
    const { fields } = environmentFields(Object.fromEntries(values), '/', () => false);
    const text = JSON.stringify(desired);
    const resolved = resolveDocument({ text, late: true, defaults: fields, readable: () => true });
    return 'configuration' in resolved ? catalogComplaints(resolved.configuration) : [];
  } catch {
    return [];
  }
}

function moduleComplaints(name: string, module: unknown): string[] {
  const path = `module ${name}`;
  if (!isMapping(module)) return [`${path} is not a mapping: write its type, settings and so on`];
  const complaints = unknown(module, MODULE, path);
  if (!/^[A-Za-z0-9_-]+$/.test(name))
    complaints.push(`${path}: the name is not valid: use letters, digits, _ and -`);
  for (const [field, allowed] of Object.entries(allowedValues)) {
    const value = module[field];
    if (value !== undefined && !allowed.includes(String(value))) {
      complaints.push(`${path}: ${field} "${value}" is not valid: write ${allowed.join(' or ')}`);
    }
  }
  for (const variable of Object.keys(isMapping(module.env) ? module.env : {})) {
    if (/[+#$.\s]/.test(variable))
      complaints.push(`${path}: env "${variable}" has + # $ . or a blank in its name: rename it`);
  }
  const settings = isMapping(module.settings) ? module.settings : {};
  if (typeof settings.image !== 'string' || settings.image === '')
    complaints.push(`${path}: settings.image is missing: name the image`);
  else
    for (const complaint of upstreamComplaints(settings.image, `${path}: settings.image`))
      complaints.push(complaint);
  return [...complaints, ...pieceComplaints(settings, `${path}: settings`)];
}

function credentialComplaints(agent: Fields): string[] {
  const runtime = isMapping(agent.runtime) ? agent.runtime : {};
  const settings = isMapping(runtime.settings) ? runtime.settings : {};
  const all = isMapping(settings.registryCredentials) ? settings.registryCredentials : {};
  return Object.entries(all).flatMap(([name, one]) => {
    const path = `registryCredentials.${name}`;
    if (!isMapping(one)) return [`${path} is not a mapping: write address, username and password`];
    const missing = ['address', 'username', 'password'].filter((field) => !one[field]);
    if (missing.length > 0) return [`${path} lacks ${missing.join(', ')}: add the missing fields`];
    return upstreamComplaints(String(one.address), `${path}.address`);
  });
}

/** edgeAgent replaces `$upstream` with the parent only if a port follows. */
const upstreamComplaints = (text: string, path: string): string[] =>
  text.includes('$upstream') && !/^\$upstream:[1-9][0-9]*(\/|$)/.test(text)
    ? [`${path} "${text}" has $upstream without a port: start it with $upstream:8000`]
    : [];

const unknown = (fields: Fields, known: string[], path: string): string[] =>
  Object.keys(fields)
    .filter((field) => !known.includes(field))
    .map((field) => `${path} has the unknown field ${field}: remove it`);
