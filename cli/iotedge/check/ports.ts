import { isMapping } from '#proto/contract/plain-data.ts';
import type { Complaint } from '../schema/schema-complaints.ts';
import type { Module } from './modules.ts';

/** Ports of the device that modules bind: each is valid, and bound once. */

type Binding = { module: string; port: number; protocol: string; address: string };

export function portComplaints(modules: Module[]): Complaint[] {
  const complaints: Complaint[] = [];
  const bound: Binding[] = [];
  for (const { name, at, options, isStopped } of modules) {
    const host = isMapping(options.HostConfig) ? options.HostConfig : {};
    const place = `${at}.settings.createOptions`;
    const bindings = Object.entries(isMapping(host.PortBindings) ? host.PortBindings : {});
    for (const [key, hosts] of bindings) {
      const [container = '', protocol = 'tcp'] = key.split('/');
      if (!isPort(container) || !['tcp', 'udp', 'sctp'].includes(protocol)) {
        const text = `${place} has the port binding "${key}", which is not valid: write a port from 1 to 65535 and its protocol, such as 8000/tcp`;
        complaints.push({ at: place, text });
      }
      for (const one of Array.isArray(hosts) ? hosts : []) {
        const { HostPort = '', HostIp = '' } = isMapping(one) ? one : {};
        // The container engine selects a free port.
        if (HostPort === '') continue;
        if (typeof HostPort !== 'string' || !HostPort.split('-').every(isPort)) {
          const text = `${place} has the HostPort ${JSON.stringify(HostPort)} for ${key}, which is not valid: write a port from 1 to 65535 as a string`;
          complaints.push({ at: place, text });
          continue;
        }
        if (isStopped) continue;
        const [first = 0, last = first] = HostPort.split('-').map(Number);
        for (let port = first; port <= last; port += 1) {
          const binding = { module: name, port, protocol, address: String(HostIp) };
          const other = bound.find((earlier) => isSame(earlier, binding));
          if (other) {
            const both = other.module === name ? `twice by ${name}` : `by ${other.module} and by ${name}`;
            const text = `${place} has the HostPort ${port}/${protocol}, which is bound ${both}: choose another one`;
            complaints.push({ at: place, text });
          }
          bound.push(binding);
        }
      }
    }
  }
  return complaints;
}

const isPort = (text: string) => /^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65_535;

const isSame = (one: Binding, other: Binding) =>
  one.port === other.port &&
  one.protocol === other.protocol &&
  (isAny(one.address) || isAny(other.address) || one.address === other.address);

const isAny = (address: string) => ['', '0.0.0.0', '::'].includes(address);
