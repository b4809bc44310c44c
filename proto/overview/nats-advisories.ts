import { semver } from '../oci/semver.ts';

/**
 * Advisories about nats-server that concern authenticated clients of a bus like ours: users with passwords and
 * permissions, JetStream, one account. Those about MQTT, WebSockets, leaf nodes, routes and operator mode are left out:
 * the bus uses none of them. From https://advisories.nats.io
 */
const advisories: { id: string; affected: string; what: string }[] = [
  {
    id: 'CVE-2025-30215',
    affected: '>=2.2.0 <2.10.27 || >=2.11.0 <2.11.1',
    what: 'administrative JetStream requests are not authorized (denied here by the permissions of the bus)',
  },
  {
    id: 'CVE-2026-33222',
    affected: '<2.11.15 || >=2.12.0 <2.12.6',
    what: 'a stream can be restored over another one (denied here by the permissions of the bus)',
  },
  {
    id: 'CVE-2026-33249',
    affected: '>=2.11.0 <2.11.15 || >=2.12.0 <2.12.6',
    what: 'a client with credentials can send traces to subjects that it has no permission for',
  },
  {
    id: 'GHSA-q59r-vq66-pxc2',
    affected: '<2.12.12 || >=2.13.0 <2.14.3',
    what: 'a request about connections crashes the server (denied here by the permissions of the bus)',
  },
];

const REMEDY =
  'install nats-server 2.14.3 or later, or set TERRACE_NATS_SERVER to its path, and restart the layer';

export type NatsServer = {
  version: string;
  /** Advisories that affect this version. */
  advisories?: { id: string; what: string }[];
  remedy?: string;
};

/**
 * The advisories for a version of nats-server. A distribution may have backported a fix without a new version number.
 */
export function natsServer(version: string): NatsServer {
  const known = advisories
    .filter(({ affected }) => semver().satisfies(version, affected, { includePrerelease: true }))
    .map(({ id, what }) => ({ id, what }));
  return known.length > 0 ? { version, advisories: known, remedy: REMEDY } : { version };
}
