import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { listTokens } from '#proto/accounts/accounts.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import { isLoopback } from '#proto/document/networks.ts';
import { isConnectedRegistry, isContainer } from '#proto/document/resolve/module-environment.ts';
import { METADATA } from '#proto/volume/layout.ts';
import { connectBus } from '../connection/connect.ts';
import { dataArguments } from '../data/data-option.ts';
import { parseAddress } from '../data/ports.ts';
import type { ResolvedConfiguration } from '../input/options.ts';
import { Refusal } from '../terminal/refusal.ts';
import type { LayerLog } from './layer-log.ts';
import { type ServiceSettings, STORAGE_START_MS, storageProgram } from './programs.ts';
import { Supervisor } from './supervisor.ts';

/** A layer serves other machines only if it has a token. */
export const needsAccounts = ({ listen }: Configuration) => !isLoopback(parseAddress(listen).host);

/**
 * Whether tokens may be created after the start: by a document that declares accounts, by a module twin, which was not
 * read yet, or by the operator of a layer that was set up as a connected registry or runs in a container, which starts
 * without tokens. Until then the gateway rejects all clients, or does not listen.
 */
export function mayGetTokensLater(
  { accounts, configuration }: ResolvedConfiguration,
  env: NodeJS.ProcessEnv,
): boolean {
  if (accounts.length > 0) return true;
  const mayFollow = Boolean(env.IOTEDGE_WORKLOADURI) || isConnectedRegistry(env) || isContainer(env);
  return mayFollow && needsAccounts(configuration);
}

/** A layer without data has no token: this check creates and starts nothing. @throws Refusal */
export function mustHaveDataToListen(data: string, configuration: Configuration): void {
  if (needsAccounts(configuration) && !existsSync(join(data, METADATA))) {
    throw noAccounts(data, configuration);
  }
}

/**
 * Checks that a layer that serves other machines has a token. Only storage knows the tokens: it is started for this
 * request on the layer's bus, and stopped before anything else starts, so that no gateway ever listens before the
 * check.
 * @throws Refusal
 */
export async function mustHaveAccounts(
  settings: ServiceSettings,
  configuration: Configuration,
  log: LayerLog,
): Promise<void> {
  const supervisor = new Supervisor(({ program, pid, level, message }) => {
    log.write(program, level, message, { pid });
  });
  supervisor.add(storageProgram(settings, log));
  try {
    await using bus = await connectBus(settings.folder, 'terrace-up');
    const request = bus.call(listTokens, { limit: 1 }, { patience: STORAGE_START_MS });
    const { tokens } = await Promise.race([request, supervisor.unrecoverable]);
    if (tokens.length > 0) return;
  } finally {
    await supervisor.stop();
  }
  throw noAccounts(settings.folder.root, configuration);
}

function noAccounts(data: string, { listen }: Configuration): Refusal {
  return new Refusal(
    `listen ${listen} accepts other machines, and this layer has no accounts: create one with ` +
      `"terrace token create NAME --push '*'${dataArguments(data)}", listen on 127.0.0.1, ` +
      'or use --insecure-listen to let everyone read and write',
    2,
  );
}
