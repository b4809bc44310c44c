import type { ScopeMap, Token } from '#proto/accounts/accounts.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import { parseAddress } from '../data/ports.ts';
import { table } from '../terminal/table.ts';

/** Tokens and scope maps, and the commands to log in with one, for people. */

const ENDLESS = 'never expires';

export const instant = (ms: number): string => new Date(ms).toISOString().replace(/:\d\d\.\d{3}Z$/, 'Z');

/** @param width to which the table is fitted */
export function describeTokens(tokens: Token[], now: number, width?: number): string {
  if (tokens.length === 0) return 'No tokens.';
  const rows = tokens.map((token) => [
    token.name,
    `${token.enabled ? 'enabled' : 'disabled'}${token.declared ? ', declared' : ''}`,
    token.scopeMap,
    token.passwords.map((password) => `${password.name} ${validity(password, now)}`).join(', ') || 'none',
  ]);
  return table([['NAME', 'STATE', 'SCOPE MAP', 'PASSWORDS'], ...rows], width);
}

/** @param width to which the table is fitted */
export function describeScopeMaps(scopeMaps: ScopeMap[], width?: number): string {
  const rows = scopeMaps.map(({ name, actions, system, declared, description = '' }) => [
    name,
    String(actions.length),
    system ? 'system-defined' : declared ? 'of a declared account' : description,
  ]);
  return table([['NAME', 'ACTIONS', 'DESCRIPTION'], ...rows], width);
}

export function validity({ expires }: { expires?: number }, now: number): string {
  if (expires === undefined) return ENDLESS;
  return `${expires <= now ? 'expired' : 'until'} ${instant(expires)}`;
}

/** The registry's name for clients; `HOST` in it stands for a name that only the operator of the machine knows. */
export function registryOf(configuration: Configuration | undefined): string {
  if (!configuration) return 'REGISTRY';
  const { listen, loginServer } = configuration;
  if (loginServer) return loginServer;
  const { host, port } = parseAddress(listen);
  return host === '0.0.0.0' || host === '::' ? `HOST:${port}` : listen;
}

export const insecureFlag = (configuration: Configuration | undefined): string =>
  configuration && !configuration.tls ? ' --tls-verify=false' : '';

export function loginCommand(name: string, configuration: Configuration | undefined): string {
  return `podman login${insecureFlag(configuration)} ${registryOf(configuration)} -u ${name}`;
}
