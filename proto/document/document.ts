import { type Static, Type } from '../contract/schema.ts';
import { Mode } from '../oci/mode.ts';
import { RepositoryPattern } from '../oci/repository-pattern.ts';
import { ArchiveDocument } from './archive.ts';
import { AuditDocument } from './audit.ts';
import { accountFields } from './declared-accounts.ts';
import { DeltaDocument } from './delta.ts';
import { exchangesField } from './exchanges.ts';
import { field, mapping, optional } from './fields.ts';
import { linkFields } from './link.ts';
import { NotificationsDocument } from './notifications.ts';
import { ParentDocument } from './parent.ts';
import { conflictField, selectionsField } from './selection.ts';
import { upkeepFields } from './upkeep.ts';

/** The configuration document as a person writes it. */

export const Tls = mapping(
  {
    certificateFile: field(
      Type.String({ minLength: 1, maxLength: 4_096 }),
      'Certificate with its chain, PEM. Read again when the file changes.',
      'write the path of a PEM file with the certificate and its chain',
    ),
    keyFile: field(
      Type.String({ minLength: 1, maxLength: 4_096 }),
      'Private key of the certificate, PEM. Read again when the file changes.',
      'write the path of a PEM file with the private key',
    ),
  },
  'Serves HTTPS with this certificate. Adding or removing it takes effect at the next start; its files are read again when they change.',
  { otherwise: 'plain HTTP', atStart: true },
);
export type Tls = Static<typeof Tls>;

export const ChallengeScheme = Type.Union([Type.Literal('Bearer'), Type.Literal('Basic')]);

/** Level of the log for each name that a document may use: the log's own, and those of the connected registry. */
export const logLevels = {
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  error: 'error',
  none: 'fatal',
  Debug: 'debug',
  Information: 'info',
  Warning: 'warn',
  Error: 'error',
  None: 'fatal',
} as const;
const LogLevel = Type.Union(
  (Object.keys(logLevels) as (keyof typeof logLevels)[]).map((level) => Type.Literal(level)),
);

/** Addresses of this machine: the default of `trustedProxies`. */
export const THIS_MACHINE = ['127.0.0.0/8', '::1/128'];

/** All fields are optional. Unknown fields are refused. Complaints list the fields in this order. */
export const Document = Type.Object(
  {
    name: optional(
      Type.String({ pattern: '^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$', maxLength: 63 }),
      'Name of the layer, in events and in the tags of conflicts.',
      'use lower-case letters, digits and - between them, 63 characters at most',
      { default: 'layer', atStart: true },
    ),
    listen: optional(
      Type.String({ pattern: '^(?:[^:\\s]+|\\[[0-9a-f:]+\\]):[0-9]{1,5}$', maxLength: 300 }),
      'Address and port for container clients. Any address other than loopback needs a token, or `--insecure-listen`.',
      'write host:port, such as 127.0.0.1:5000',
      { default: '127.0.0.1:5000', atStart: true },
    ),
    gateways: optional(
      Type.Integer({ minimum: 1, maximum: 16 }),
      'Number of gateway processes, all on one port.',
      'write a whole number from 1 to 16',
      { default: 1, atStart: true },
    ),
    operate: Type.Optional(
      field(
        Type.Object(
          {
            listen: optional(
              Type.String({ pattern: '^(?:[^:\\s]+|\\[[0-9a-f:]+\\]):[0-9]{1,5}$', maxLength: 300 }),
              'Address and port of a listener of their own for operators: API, page and metrics are then served there alone, with the same TLS. Any address other than loopback is served once the layer has a token, or with `--insecure-listen`.',
              'write host:port, such as 127.0.0.1:5001',
              { otherwise: 'the address of clients' },
            ),
          },
          { additionalProperties: false },
        ),
        'How operators reach the layer.',
        'write a mapping with the field listen',
        { otherwise: 'by the address of clients' },
      ),
    ),
    loginServer: optional(
      Type.String({ pattern: '^(?:[A-Za-z0-9.-]+|\\[[0-9a-fA-F:]+\\])(?::[0-9]{1,5})?$', maxLength: 300 }),
      'The only `Host` that is accepted in requests, with its port unless that is 80 or 443. Others get 421.',
      'write host or host:port, as clients name this registry',
      { otherwise: 'any' },
    ),
    tls: Type.Optional(Tls),
    trustedProxies: optional(
      Type.Array(Type.String({ minLength: 2, maxLength: 64 }), { maxItems: 1_000 }),
      'Addresses and networks of proxies whose `X-Forwarded-*` headers are trusted.',
      'write a list of addresses, such as 10.0.0.7, or networks, such as 10.0.0.0/8',
      { default: THIS_MACHINE },
    ),
    challenge: optional(
      ChallengeScheme,
      'Authentication scheme offered to clients: a Bearer token, or credentials with each request (`Basic`). Both are accepted.',
      'write Bearer or Basic',
      { default: 'Bearer' },
    ),
    anonymousPull: optional(
      Type.Array(RepositoryPattern, { maxItems: 1_000 }),
      'Repositories from which clients without an account may pull once accounts exist.',
      'write a list of repository names, prefix/* or *',
      { default: [] },
    ),
    mode: optional(
      Type.Union([Mode, Type.Literal('Registry'), Type.Literal('Mirror')]),
      'Whether clients may push; with a parent, what they push goes up. `Registry` and `Mirror` are older names of `ReadWrite` and `ReadOnly`.',
      'write ReadWrite or ReadOnly',
      { default: 'ReadWrite' },
    ),
    parent: Type.Optional(ParentDocument),
    exchanges: exchangesField,
    repositories: selectionsField,
    ...linkFields,
    conflict: conflictField,
    notifications: Type.Optional(NotificationsDocument),
    ...upkeepFields,
    archive: Type.Optional(ArchiveDocument),
    delta: Type.Optional(DeltaDocument),
    audit: Type.Optional(AuditDocument),
    syncers: optional(
      Type.Integer({ minimum: 1, maximum: 64 }),
      'Number of syncer processes.',
      'write a whole number from 1 to 64',
      { default: 1, atStart: true },
    ),
    connections: optional(
      Type.Integer({ minimum: 1, maximum: 64 }),
      'Max connections to the parent per syncer and direction; only as many are used as raise the throughput.',
      'write a whole number from 1 to 64',
      { default: 32 },
    ),
    ...accountFields,
    logLevel: optional(
      LogLevel,
      'Level of the log; `none`: only errors that end a process.',
      'write debug, info, warn, error or none, or Debug, Information, Warning, Error or None',
      { default: 'info' },
    ),
  },
  { additionalProperties: false },
);
export type Document = Static<typeof Document>;
