import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { ServiceName } from '#proto/contract/users.ts';
import { PROXY_VARIABLES } from '#proto/http/proxy-environment.ts';
import type { LayerStatus } from '#proto/overview/layer-status.ts';
import type { ServiceStatus } from '#proto/status/status.ts';

/** The processes of a running layer, as far as they are on this machine, or in this container. */

/** Variables that are read: others may be secret. */
const READ: readonly string[] = [...PROXY_VARIABLES, 'TERRACE_LISTEN'];

/** A process of this service. */
export const serviceHere = (status: LayerStatus | undefined, name: ServiceName): ServiceStatus | undefined =>
  status?.services.find(({ service, host }) => service === name && host === hostname());

/** Variables of a process of this service; undefined if none is here, or this user may not read them. */
export function environmentOf(
  status: LayerStatus | undefined,
  name: ServiceName,
): Record<string, string> | undefined {
  const pid = serviceHere(status, name)?.pid;
  if (pid === undefined) return undefined;
  try {
    return variablesIn(readFileSync(`/proc/${pid}/environ`, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Pure: entries `NAME=value`, each ended by NUL. */
export const variablesIn = (text: string): Record<string, string> =>
  Object.fromEntries(
    text.split('\0').flatMap((entry) => {
      const [name = '', ...value] = entry.split('=');
      return READ.includes(name) ? [[name, value.join('=')]] : [];
    }),
  );
