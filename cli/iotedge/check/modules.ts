import { isMapping } from '#proto/contract/plain-data.ts';
import { createOptionsOf, pieceComplaints } from '../schema/create-options.ts';
import type { Complaint } from '../schema/schema-complaints.ts';
import type { Fields } from './twins.ts';

/** The modules of a deployment, and what the schema of edgeAgent can't say of their images, options and logins. */

export type Module = {
  name: string;
  /** Place in the manifest. */
  at: string;
  image: string;
  /** Variables whose value is a string, a number or a boolean. */
  env: Map<string, string>;
  /** Create options; empty if they are not valid. */
  options: Fields;
  isStopped: boolean;
};

/** @param agent desired properties of edgeAgent */
export function modulesOf(agent: Fields): Module[] {
  return (['systemModules', 'modules'] as const).flatMap((group) =>
    Object.entries(isMapping(agent[group]) ? agent[group] : {}).flatMap(([name, module]) => {
      if (!isMapping(module)) return [];
      const settings = isMapping(module.settings) ? module.settings : {};
      return {
        name,
        at: `$edgeAgent.${group}.${name}`,
        image: typeof settings.image === 'string' ? settings.image : '',
        env: variablesOf(module.env),
        options: createOptionsOf(settings),
        isStopped: module.status === 'stopped',
      };
    }),
  );
}

function variablesOf(env: unknown): Map<string, string> {
  const entries = Object.entries(isMapping(env) ? env : {});
  return new Map(
    entries.flatMap(([name, variable]) => {
      const value = isMapping(variable) ? variable.value : undefined;
      return ['string', 'number', 'boolean'].includes(typeof value) ? [[name, String(value)]] : [];
    }),
  );
}

/** `isLayered`: another deployment may have what is missing here. */
export function settingsComplaints(agent: Fields, isLayered: boolean): Complaint[] {
  const complaints: Complaint[] = [];
  const complain = (at: string, cause: string) => complaints.push({ at, text: `${at} ${cause}` });
  for (const group of ['systemModules', 'modules']) {
    const modules = isMapping(agent[group]) ? agent[group] : {};
    for (const [name, module] of Object.entries(modules)) {
      const at = `$edgeAgent.${group}.${name}.settings`;
      const settings = isMapping(module) && isMapping(module.settings) ? module.settings : undefined;
      if (!settings) continue;
      const { image } = settings;
      if (image !== undefined || !isLayered) {
        const cause = imageCause(image);
        if (cause) complain(`${at}.image`, cause);
      }
      for (const text of pieceComplaints(settings, at)) complaints.push({ at: `${at}.createOptions`, text });
    }
  }
  const runtime = isMapping(agent.runtime) ? agent.runtime : {};
  const settings = isMapping(runtime.settings) ? runtime.settings : {};
  const logins = isMapping(settings.registryCredentials) ? settings.registryCredentials : {};
  for (const [name, login] of Object.entries(logins)) {
    const at = `$edgeAgent.runtime.settings.registryCredentials.${name}`;
    for (const field of ['address', 'username', 'password']) {
      if (isMapping(login) && login[field] === '') complain(`${at}.${field}`, 'is empty: write it');
    }
    const address = isMapping(login) ? login.address : undefined;
    if (typeof address !== 'string') continue;
    if (address.includes('$upstream') && !/^\$upstream:[1-9]\d*$/.test(address))
      complain(`${at}.address`, `"${address}" has $upstream without a port: write $upstream:8000`);
    else if (/^https?:|\//i.test(address))
      complain(
        `${at}.address`,
        `"${address}" is not valid: write host or host:port, without https:// and path`,
      );
  }
  return complaints;
}

/** Host, path, tag and digest of an image, as the container engine takes them; edgeAgent resolves `$upstream`. */
const IMAGE =
  /^(?:(?:\$upstream:[1-9]\d*|[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::\d+)?\/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[\w][\w.-]{0,127})?(?:@sha256:[a-f0-9]{64})?$/;

export function imageCause(image: unknown): string | undefined {
  if (typeof image !== 'string' || image === '') return 'is missing: name the image';
  if (image.includes('$upstream') && !/^\$upstream:[1-9]\d*\//.test(image))
    return `"${image}" has $upstream without a port: start it with $upstream:8000/`;
  if (!IMAGE.test(image))
    return `"${image}" is not valid: write host/repository:tag, the repository in lower case`;
  return undefined;
}
