import { isMapping } from '#proto/contract/plain-data.ts';
import type { Complaint } from '../schema/schema-complaints.ts';
import type { Module } from './modules.ts';

/** Ports of the device that modules bind: each is valid, and bound once. */

/** `first` to `last`, as one port or as a range. */
type Binding = { module: string; first: number; last: number; protocol: string; address: string };

export function portComplaints(modules: Module[]): Complaint[] {
  const complaints: Complaint[] = [];
  const bound: Binding[] = [];
  for (const module of modules) {
    const at = `${module.at}.settings.createOptions`;
    const complain = (cause: string) => complaints.push({ at, text: `${at} has ${cause}` });
    for (const binding of bindingsOf(module, complain)) {
      const { first, protocol } = binding;
      const other = bound.find((earlier) => isSame(earlier, binding));
      if (other) {
        const port = Math.max(first, other.first);
        const both =
          other.module === module.name
            ? `twice by ${module.name}`
            : `by ${other.module} and by ${module.name}`;
        complain(`the HostPort ${port}/${protocol}, which is bound ${both}: choose another one`);
      }
      bound.push(binding);
    }
  }
  return complaints;
}

function bindingsOf({ name, options, isStopped }: Module, complain: (cause: string) => void): Binding[] {
  const host = isMapping(options.HostConfig) ? options.HostConfig : {};
  const entries = Object.entries(isMapping(host.PortBindings) ? host.PortBindings : {});
  return entries.flatMap(([key, hosts]) => {
    const [container = '', protocol = 'tcp'] = key.split('/');
    if (!isPort(container) || !['tcp', 'udp', 'sctp'].includes(protocol))
      complain(
        `the port binding "${key}", which is not valid: write a port from 1 to 65535 and its protocol, such as 8000/tcp`,
      );
    return (Array.isArray(hosts) ? hosts : []).flatMap((one): Binding[] => {
      const { HostPort = '', HostIp = '' } = isMapping(one) ? one : {};
      // The container engine selects a free port.
      if (HostPort === '') return [];
      if (typeof HostPort !== 'string' || !isPortOrRange(HostPort)) {
        complain(
          `the HostPort ${JSON.stringify(HostPort)} for ${key}, which is not valid: write a port from 1 to 65535 as a string`,
        );
        return [];
      }
      const [first = 0, last = first] = HostPort.split('-').map(Number);
      return isStopped ? [] : [{ module: name, first, last, protocol, address: String(HostIp) }];
    });
  });
}

const isPort = (text: string) => /^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65_535;

function isPortOrRange(text: string): boolean {
  const ports = text.split('-');
  return ports.length <= 2 && ports.every(isPort) && Number(ports[0]) <= Number(ports.at(-1));
}

const isSame = (one: Binding, other: Binding) =>
  one.first <= other.last &&
  other.first <= one.last &&
  one.protocol === other.protocol &&
  (isAny(one.address) || isAny(other.address) || one.address === other.address);

const isAny = (address: string) => ['', '0.0.0.0', '::'].includes(address);
