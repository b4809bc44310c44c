import { type Static, Type } from '@sinclair/typebox';
import { event, state } from '../contract/contract.ts';
import { Mode } from '../oci/mode.ts';
import { FilePath, Reason } from '../oci/names.ts';
import { RepositoryPattern } from '../oci/repository-pattern.ts';
import { AzureLogin } from './azure.ts';
import { MAX_COMPLAINTS } from './complaints.ts';
import { DeclaredChild, DeclaredToken } from './declared-accounts.ts';
import { Notifications, NotificationsDocument } from './notifications.ts';
import { ArtifactType, Conflict, Platform, Selection, TagFilter } from './selection.ts';

/**
 * The configuration of a layer. An operator writes a `Document`: in a YAML file, or in the desired properties of a
 * module twin. `resolve/` parses it, merges it with command-line options and the environment, and applies the defaults;
 * `validation/` checks it. Each complaint is a sentence that names the field and the remedy.
 *
 * twin-bridge puts a valid document on the bus as one state, `configuration`. Every service watches it, and a change
 * takes effect without a restart except where a field says so. An invalid document changes nothing: the previous
 * configuration stays in force, and the complaints are reported. The other files of this folder declare parts of the
 * document (`selection.ts`, `notifications.ts`, `azure.ts`, `declared-accounts.ts`) and parse its values.
 */

export { RepositoryPattern };

export const Parent = Type.Object(
  {
    /** `https://registry.example` or `http://…`; its path, if any, is not used. */
    url: Type.String({ pattern: '^https?://[^/?#]+/?$', maxLength: 512 }),
    username: Type.Optional(Type.String({ maxLength: 256 })),
    /** File that holds the password; a document never contains a password itself. */
    passwordFile: Type.Optional(FilePath),
    /** Trusted CA certificates (PEM) for the parent, in addition to the machine's. Read again when the file changes. */
    caFile: Type.Optional(FilePath),
    /**
     * Hosts in private networks, in addition to the parent's own, to which the parent may direct this layer for blobs
     * and tokens: names (also `*.suffix`), addresses, networks.
     */
    allowedHosts: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 255 }), { maxItems: 100 })),
    azure: Type.Optional(AzureLogin),
  },
  { additionalProperties: false },
);
export type Parent = Static<typeof Parent>;

/** Time of the day, UTC. */
const HourMinute = Type.String({ pattern: '^(?:[01][0-9]|2[0-3]):[0-5][0-9]$', maxLength: 5 });
/** Bits per second, such as 2Mbit, 512kbit or 1.5Mbit. */
const BitRate = Type.String({ pattern: '^\\d', maxLength: 32 });

/** Certificate (with its chain) and key, PEM. Read again when the files change. */
export const Tls = Type.Object(
  {
    certificateFile: Type.String({ minLength: 1, maxLength: 4_096 }),
    keyFile: Type.String({ minLength: 1, maxLength: 4_096 }),
  },
  { additionalProperties: false },
);
export type Tls = Static<typeof Tls>;

export const Challenge = Type.Union([Type.Literal('Bearer'), Type.Literal('Basic')]);

/** Bytes, such as 512MiB or 20MB. */
const Amount = Type.Union([Type.Integer({ minimum: 0 }), Type.String({ pattern: '^\\d', maxLength: 32 })]);
/** ISO 8601 duration, such as P1D or PT90M. */
const Duration = Type.String({ pattern: '^P', maxLength: 64 });
/** Cron, five fields, UTC. */
const Cron = Type.String({ maxLength: 256 });

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

/** Max entries of `repositories`. */
const MAX_SELECTIONS = 2_000;

/** The document as a person writes it. All fields are optional. Unknown fields are refused. */
export const Document = Type.Object(
  {
    name: Type.Optional(Type.String({ pattern: '^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$', maxLength: 63 })),
    /** `host:port`. Takes effect at the next start. */
    listen: Type.Optional(
      Type.String({ pattern: '^(?:[^:\\s]+|\\[[0-9a-f:]+\\]):[0-9]{1,5}$', maxLength: 300 }),
    ),
    /** Number of gateway processes, all on that one port. Takes effect at the next start. */
    gateways: Type.Optional(Type.Integer({ minimum: 1, maximum: 16 })),
    /** The only `Host` accepted in requests, with its port unless that is 80 or 443; any if absent. */
    loginServer: Type.Optional(
      Type.String({ pattern: '^(?:[A-Za-z0-9.-]+|\\[[0-9a-fA-F:]+\\])(?::[0-9]{1,5})?$', maxLength: 300 }),
    ),
    /** Adding or removing it takes effect at the next start; its files are read again when they change. */
    tls: Type.Optional(Tls),
    /** Addresses, or networks as 10.0.0.0/8, whose `X-Forwarded-*` headers are trusted; `THIS_MACHINE` by default. */
    trustedProxies: Type.Optional(
      Type.Array(Type.String({ minLength: 2, maxLength: 64 }), { maxItems: 1_000 }),
    ),
    /** How clients are asked to log in: for a Bearer token first, or with each request (`Basic`). Both are accepted. */
    challenge: Type.Optional(Challenge),
    /** Repositories that clients without an account may pull once accounts exist; none by default. */
    anonymousPull: Type.Optional(Type.Array(RepositoryPattern, { maxItems: 1_000 })),
    mode: Type.Optional(
      Type.Union([Mode, Type.Literal('Registry'), Type.Literal('Mirror')], {
        description: 'ReadWrite or ReadOnly (also by their older names, Registry and Mirror)',
      }),
    ),
    parent: Type.Optional(Parent),
    /** Repositories of the parent that are synchronized: all (`*`) if absent, none if empty. */
    repositories: Type.Optional(
      Type.Array(Type.Union([RepositoryPattern, Selection]), { maxItems: MAX_SELECTIONS }),
    ),
    /**
     * When passes begin, or the window opens. Cron, five fields, UTC. The default, `* * * * *` without a window, means
     * at any time: changes are pushed at once.
     */
    schedule: Type.Optional(Cron),
    /** How long the link may be used after each time of the schedule; PT1M to P7D. */
    window: Type.Optional(Duration),
    /** Name of `window` in the connected registry; used if `window` is absent. */
    syncWindow: Type.Optional(Duration),
    /** Retention of events; P1D to P90D. */
    eventTtl: Type.Optional(Duration),
    /** Name of `eventTtl` in the connected registry; used if `eventTtl` is absent. */
    messageTtl: Type.Optional(Duration),
    /** Max rate on the link, for all syncers and both directions together; a list sets it by the time of day. */
    bandwidth: Type.Optional(
      Type.Union([
        BitRate,
        Type.Array(
          Type.Object(
            {
              /** Until `to`, maybe on the next day; always if both are absent. The first matching entry applies. */
              from: Type.Optional(HourMinute),
              to: Type.Optional(HourMinute),
              limit: BitRate,
            },
            { additionalProperties: false },
          ),
          { minItems: 1, maxItems: 100 },
        ),
      ]),
    ),
    conflict: Type.Optional(Conflict),
    notifications: Type.Optional(NotificationsDocument),
    /** Reserve of free space on the data volume: below it, no new content is accepted. */
    reserve: Type.Optional(Amount),
    garbageCollection: Type.Optional(
      Type.Object(
        {
          enabled: Type.Optional(Type.Boolean()),
          /** Cron, five fields, UTC. */
          schedule: Type.Optional(Cron),
          /** How long content that was reported to a caller is retained although nothing links it. */
          grace: Type.Optional(Duration),
          /** Idle time after which an upload is abandoned. */
          uploads: Type.Optional(Duration),
          /** Idle time after which a transfer is abandoned. */
          transfers: Type.Optional(Duration),
        },
        { additionalProperties: false },
      ),
    ),
    scrub: Type.Optional(
      Type.Object(
        {
          /** Cron, five fields, UTC; if absent, a scrub runs only on request. */
          schedule: Type.Optional(Cron),
          /** Bytes per second. */
          rate: Type.Optional(Amount),
        },
        { additionalProperties: false },
      ),
    ),
    /** Number of syncer processes. Takes effect at the next start. */
    syncers: Type.Optional(Type.Integer({ minimum: 1, maximum: 64 })),
    /** Max connections to the parent per syncer and direction; only as many are used as raise the throughput. */
    connections: Type.Optional(Type.Integer({ minimum: 1, maximum: 64 })),
    /** Accounts. Storage keeps them as declared, and does not change accounts that an operator created. */
    tokens: Type.Optional(Type.Array(DeclaredToken, { maxItems: 500 })),
    children: Type.Optional(Type.Array(DeclaredChild, { maxItems: 200 })),
    /** `none`: only errors that end a process. */
    logLevel: Type.Optional(LogLevel),
  },
  { additionalProperties: false },
);
export type Document = Static<typeof Document>;

/** The document with all defaults applied, as the services watch it. */
export const Configuration = Type.Object({
  name: Type.String({ maxLength: 63 }),
  listen: Type.String({ maxLength: 300 }),
  gateways: Type.Integer(),
  loginServer: Type.Optional(Type.String({ maxLength: 300 })),
  tls: Type.Optional(Tls),
  trustedProxies: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 1_000 }),
  challenge: Challenge,
  anonymousPull: Type.Array(RepositoryPattern, { maxItems: 1_000 }),
  mode: Mode,
  parent: Type.Optional(Parent),
  repositories: Type.Array(
    Type.Object({
      name: RepositoryPattern,
      tags: Type.Optional(TagFilter),
      platforms: Type.Optional(Type.Array(Platform, { maxItems: 100 })),
      referrers: Type.Union([Type.Boolean(), Type.Array(ArtifactType, { maxItems: 100 })]),
      priority: Type.Integer(),
      conflict: Conflict,
    }),
    { maxItems: MAX_SELECTIONS },
  ),
  schedule: Cron,
  windowMs: Type.Optional(Type.Integer()),
  eventTtlMs: Type.Integer(),
  /** The first entry that matches applies; none: no limit. Minutes of the day, UTC; `to` may be less than `from`. */
  bandwidth: Type.Array(
    Type.Object({
      from: Type.Optional(Type.Integer()),
      to: Type.Optional(Type.Integer()),
      /** Bytes per second. */
      limit: Type.Number(),
    }),
    { maxItems: 100 },
  ),
  notifications: Notifications,
  /** Bytes. */
  reserve: Type.Integer(),
  garbageCollection: Type.Object({
    enabled: Type.Boolean(),
    schedule: Cron,
    graceMs: Type.Integer(),
    uploadsMs: Type.Integer(),
    transfersMs: Type.Integer(),
  }),
  scrub: Type.Object({
    schedule: Type.Optional(Cron),
    /** Bytes per second. */
    rate: Type.Integer(),
  }),
  syncers: Type.Integer(),
  connections: Type.Integer(),
  /** Level of the log: debug, info, warn, error or fatal. */
  logLevel: Type.String({ maxLength: 16 }),
});
export type Configuration = Static<typeof Configuration>;

/** Key: `layer`. */
export const configuration = state('configuration', Configuration);
export const CONFIGURATION_KEY = 'layer';

/** A new configuration is in force; `fields` differ from the previous one. */
export const configurationChanged = event(
  'configuration.changed',
  Type.Object({ fields: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 100 }) }),
);

/** A document was invalid; the previous configuration stays in force. */
export const configurationRefused = event(
  'configuration.refused',
  Type.Object({ source: FilePath, complaints: Type.Array(Reason, { maxItems: MAX_COMPLAINTS }) }),
);
