import type { Configuration } from '#proto/document/configuration.ts';
import { accepts, listenErrorCode, parseAddress } from '../../data/ports.ts';
import { environmentOf, serviceHere } from '../subject/service-process.ts';
import type { Subject } from '../subject/subject.ts';
import { type Finding, fault, type Verdict } from '../verdict/check.ts';

/** The addresses that clients and operators use. */

/** `field`: of the configuration. `code`: of the error, if a server that is started now could not listen there. */
export type ListenSeen = { field: string; listen: string } & (
  | { isOurs: true; accepts: boolean }
  | { isOurs: false; code: string | undefined }
);

export async function checkListen({
  configuration,
  bus,
  busFailure,
  status,
  holder,
}: Subject): Promise<Verdict> {
  if (!configuration) return { unchecked: 'the configuration is not known' };
  if (holder !== undefined && !bus)
    return { unchecked: 'a process holds the data folder: it may listen there' };
  if (bus && !status?.configuration) return { unchecked: 'the layer does not answer' };
  if (busFailure !== undefined) return { unchecked: 'whether the layer runs is not known' };
  const isRunning = bus !== undefined && serviceHere(status, 'gateway') !== undefined;
  if (bus && !isRunning) return { unchecked: 'no gateway runs on this machine, or in this container' };
  // A gateway that was started by itself may have its address from its environment.
  const own = environmentOf(status, 'gateway')?.TERRACE_LISTEN;
  const seen = await Promise.all(
    listens({ ...configuration, ...(own && { listen: own }) }).map(
      async ({ field, listen }): Promise<ListenSeen> => {
        const address = parseAddress(listen);
        return isRunning
          ? { field, listen, isOurs: true, accepts: await accepts(address) }
          : { field, listen, isOurs: false, code: await listenErrorCode(address) };
      },
    ),
  );
  return listenVerdict(seen);
}

const listens = ({
  listen,
  operate,
}: Pick<Configuration, 'listen' | 'operate'>): { field: string; listen: string }[] => [
  { field: 'listen', listen },
  ...(operate?.listen ? [{ field: 'operate.listen', listen: operate.listen }] : []),
];

/** Pure. */
export function listenVerdict(seen: readonly ListenSeen[]): Verdict {
  const findings = seen.flatMap((one): Finding[] => {
    const { field, listen } = one;
    if (one.isOurs) {
      return one.accepts
        ? []
        : [
            fault(
              `the gateway runs, and ${listen} accepts no connections`,
              'see data/log/terrace.log, and the firewall',
            ),
          ];
    }
    const { code } = one;
    if (code === undefined) return [];
    return [
      code === 'EADDRINUSE'
        ? fault(
            `${field} ${listen} is in use by another program`,
            `stop it (ss -ltnp shows which it is), or choose another address for ${field}`,
          )
        : code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND'
          ? fault(
              `${field} ${listen} is not an address of this machine`,
              'correct it, or wait for the network',
            )
          : code === 'EACCES'
            ? fault(
                `${field} ${listen}: this user may not listen on that port (EACCES)`,
                'choose a port from 1024 on, or permit it (AmbientCapabilities=CAP_NET_BIND_SERVICE)',
              )
            : fault(`${field} ${listen} can't be listened on (${code})`, 'choose another address'),
    ];
  });
  const [first] = seen;
  const list = seen.map(({ listen }) => listen).join(', ');
  return { about: first?.isOurs ? `${list} accepts connections` : `${list} is free`, findings };
}
