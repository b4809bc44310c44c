import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The deployment manifests of deploy/iotedge, to be changed by tests. */

export const folder = join(import.meta.dirname, '../../../deploy/iotedge');

// biome-ignore lint/suspicious/noExplicitAny: documents of another system, of which single fields are read
export type Any = any;

export type Layer = 'top' | 'nested' | 'pass-through';

export const example = async (name: Layer): Promise<Any> =>
  JSON.parse(await readFile(join(folder, `${name}.json`), 'utf8'));

/** With passwords in place of the placeholders. */
export async function readyExample(name: Layer): Promise<Any> {
  const hash = `scrypt$14$8$1$${'A'.repeat(22)}$${'A'.repeat(43)}`;
  const text = JSON.stringify(await example(name));
  return JSON.parse(
    text.replaceAll(/<HASH_OF_\w+>/g, hash).replaceAll('<SYNC_TOKEN_PASSWORD>', 'some-password'),
  );
}

export const agentOf = (manifest: Any): Any => manifest.modulesContent.$edgeAgent['properties.desired'];
export const hubOf = (manifest: Any): Any => manifest.modulesContent.$edgeHub['properties.desired'];

/** Joins the pieces of the options of a container, as edgeAgent does. */
export function optionsOf({ settings }: Any): Any {
  const pieces = Object.keys(settings).filter((key) => key.startsWith('createOptions'));
  return JSON.parse(
    pieces
      .sort()
      .map((key) => settings[key])
      .join(''),
  );
}
