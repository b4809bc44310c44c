import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Interfaces of this network namespace, as the kernel lists them. */
const INTERFACES = '/sys/class/net';

/**
 * Whether this process has a network of its own, as in a container: each interface but loopback is one end of a pair
 * whose other end is elsewhere. With the network of the machine, there are interfaces of its own.
 */
export function hasOwnNetwork(folder = INTERFACES): boolean {
  try {
    const numberIn = (name: string, file: string) => Number(readFileSync(join(folder, name, file), 'utf8'));
    return readdirSync(folder)
      .filter((name) => name !== 'lo')
      .every((name) => numberIn(name, 'iflink') !== numberIn(name, 'ifindex'));
  } catch {
    return false;
  }
}

/** What a gateway on loopback in such a container says instead of that it is healthy. */
export const unreachable = (listen: string): string =>
  `listening on ${listen} inside of the container, where no client is: listen on 0.0.0.0:5000, or set ` +
  'TERRACE_CONTAINER to nothing if a proxy shares the network of this container';

/** The command for the first token, as it is typed outside of this container. */
export function firstTokenCommand(env: NodeJS.ProcessEnv, hostname: string): string {
  const command = "terrace token create NAME --push '*'";
  if (env.TERRACE_CONTAINER !== '1') return command;
  return env.KUBERNETES_SERVICE_HOST
    ? `kubectl exec ${hostname} -- ${command}`
    : `docker exec ${hostname} ${command}`;
}
