import { FilePath } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { field, mapping, optional, orDefault } from './fields.ts';
import { Amount, bytesOf } from './quantities.ts';

/** Field `audit` of a configuration document: the syslog receiver that gets the entries of the audit log. */

/** Size of the audit log without a receiver, and max size with one: what waits for the receiver, in bytes. */
export const MIN_SPOOL = 128 * 2 ** 20;
export const MAX_SPOOL = 16 * 2 ** 30;

/** Ports of syslog over TLS (RFC 5425, 4.1) and over TCP without it (RFC 6587). */
const TLS_PORT = 6_514;
const TCP_PORT = 601;

export const SyslogDocument = mapping(
  {
    host: field(
      Type.String({
        pattern: '^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\\[[0-9a-fA-F:]+\\])(?::[0-9]{1,5})?$',
        maxLength: 300,
      }),
      'The receiver: a name or an address. Without a port, 6514 with TLS and 601 without.',
      'write host or host:port, such as siem.plant.example:6514',
    ),
    tls: optional(
      Type.Boolean(),
      'Whether the connection uses TLS (RFC 5425). Without it (RFC 6587), everyone on the way can read and change the entries, and another machine can pose as the receiver: only for a network that has no TLS.',
      'write true or false',
      { default: true },
    ),
    caFile: optional(
      FilePath,
      "CA certificates (PEM) that are trusted for the receiver, in addition to the machine's. Read again at each connection.",
      'write the path of a PEM file with the CA certificates of the receiver',
    ),
    certificateFile: optional(
      FilePath,
      'Client certificate with its chain (PEM), for a receiver that demands one. Read again at each connection.',
      'write the path of a PEM file with the client certificate and its chain',
    ),
    keyFile: optional(
      FilePath,
      'Private key of the client certificate (PEM). Read again at each connection.',
      'write the path of a PEM file with the private key of the client certificate',
    ),
    facility: optional(
      Type.Integer({ minimum: 0, maximum: 23 }),
      'Facility of the messages (RFC 5424, 6.2.1): 13 is log audit, 16 to 23 are local0 to local7.',
      'write a whole number from 0 to 23',
      { default: 13 },
    ),
    spool: optional(
      Amount,
      'Size of the audit log on the disk, from which entries are sent: what does not fit while the receiver is away is lost to it, and counted.',
      'write bytes from 128MiB, the size of the audit log without a receiver, to 16GiB',
      { default: '128MiB' },
    ),
  },
  'Sends each entry of the audit log to a syslog receiver (RFC 5424).',
  { otherwise: 'none' },
);
export type SyslogDocument = Static<typeof SyslogDocument>;

export const AuditDocument = mapping(
  { syslog: Type.Optional(SyslogDocument) },
  'Where the entries of the audit log go, in addition to the file.',
);
export type AuditDocument = Static<typeof AuditDocument>;

/** `SyslogDocument` with its defaults applied. */
export const SyslogTarget = Type.Object({
  /** A name or an address, without brackets. */
  host: Type.String({ maxLength: 300 }),
  port: Type.Integer({ minimum: 1, maximum: 65_535 }),
  tls: Type.Boolean(),
  caFile: Type.Optional(FilePath),
  certificateFile: Type.Optional(FilePath),
  keyFile: Type.Optional(FilePath),
  facility: Type.Integer({ minimum: 0, maximum: 23 }),
  /** Bytes. */
  spool: Type.Integer(),
});
export type SyslogTarget = Static<typeof SyslogTarget>;

export function syslogTargetOf({ host, tls, facility, spool, ...files }: SyslogDocument): SyslogTarget {
  const { properties } = SyslogDocument;
  const usesTls = orDefault(tls, properties.tls);
  const size = orDefault(spool, properties.spool);
  return {
    ...files,
    ...splitHost(host, usesTls ? TLS_PORT : TCP_PORT),
    tls: usesTls,
    facility: orDefault(facility, properties.facility),
    spool: typeof size === 'number' ? size : (bytesOf(size) as number),
  };
}

export function splitHost(text: string, defaultPort: number): { host: string; port: number } {
  const [, inBrackets, name, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(text) ?? [];
  return { host: inBrackets ?? name ?? text, port: port === undefined ? defaultPort : Number(port) };
}
