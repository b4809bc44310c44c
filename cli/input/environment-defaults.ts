import { Fault } from '#proto/contract/fault.ts';
import { environmentDefaults, isConnectedRegistry } from '#proto/document/resolve/module-environment.ts';
import type { Overrides } from '#proto/document/resolve/resolve.ts';
import { exitCodeOf } from '../terminal/failure.ts';
import { Refusal } from '../terminal/refusal.ts';

/**
 * Configuration defaults of `terrace up` from the environment (proto/document/resolve/module-environment.ts). The
 * command line and documents take precedence. Writes the parent's password to a file in the data folder, if the
 * environment has it.
 * @throws Refusal
 */
export function environmentOf(
  env: NodeJS.ProcessEnv,
  data: string,
  readable: (path: string) => boolean,
): Overrides {
  try {
    return environmentDefaults(env, data, readable);
  } catch (error) {
    if (Fault.is(error, 'config-invalid')) throw new Refusal(error.message, 2);
    const { code, path } = error as NodeJS.ErrnoException;
    throw new Refusal(
      `${path ?? data} can't be written (${code}): make the data volume writable for the user of this process`,
      exitCodeOf(code),
    );
  }
}

/** Environment for the layer's processes, without the parent's password: for them it is in a file only. */
export function withoutSecrets(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { ACR_REGISTRY_CONNECTION_STRING: _secret, ...rest } = env;
  return isConnectedRegistry(env) ? { ...rest, TERRACE_CLOSED: '1' } : rest;
}
