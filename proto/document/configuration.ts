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

export { RepositoryPattern };

export const Parent = Type.Object(
  {
    /** `https://registry.example` or `http://…`; its path, if any, is not used. */
    url: Type.String({ pattern: '^https?://[^/?#]+/?$', maxLength: 512 }),
    username: Type.Optional(Type.String({ maxLength: 256 })),
    /** A file that holds the password; a password itself never stands in a document. */
    passwordFile: Type.Optional(FilePath),
    /** Certificates (PEM) that the parent's may come from, beside those that the machine trusts. Read again when it changes. */
    caFile: Type.Optional(FilePath),
    /**
     * Hosts in private networks other than the parent's own that it may send this layer to, for blobs and tokens: names
     * (also `*.suffix`), addresses, networks.
     */
    allowedHosts: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 255 }), { maxItems: 100 })),
    azure: Type.Optional(AzureLogin),
  },
  { additionalProperties: false },
);
export type Parent = Static<typeof Parent>;

/** Of the day, UTC. */
const HourMinute = Type.String({ pattern: '^(?:[01][0-9]|2[0-3]):[0-5][0-9]$', maxLength: 5 });
/** Bits a second, such as 2Mbit, 512kbit or 1.5Mbit. */
const BitRate = Type.String({ pattern: '^\\d', maxLength: 32 });

/** Certificate (with its chain) and key, PEM. Read again when they change. */
export const Tls = Type.Object(
  {
    certificateFile: Type.String({ minLength: 1, maxLength: 4_096 }),
    keyFile: Type.String({ minLength: 1, maxLength: 4_096 }),
  },
  { additionalProperties: false },
);
export type Tls = Static<typeof Tls>;

export const Challenge = Type.Union([Type.Literal('Bearer'), Type.Literal('Basic')]);

/** An amount of bytes, such as 512MiB or 20MB. */
const Amount = Type.Union([Type.Integer({ minimum: 0 }), Type.String({ pattern: '^\\d', maxLength: 32 })]);
/** ISO 8601, such as P1D or PT90M. */
const Duration = Type.String({ pattern: '^P', maxLength: 64 });
/** Five fields, UTC. */
const Cron = Type.String({ maxLength: 256 });

/** As the log has them, and as the connected registry calls them. */
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

/** Whose `X-Forwarded-*` is believed until a document says otherwise. */
export const THIS_MACHINE = ['127.0.0.0/8', '::1/128'];

/** Entries of the list of repositories. */
const MAX_SELECTIONS = 2_000;

/**
 * What is asked of a layer: one document, from a file or a module twin, checked and put on the bus by twin-bridge as
 * one state. Every service watches it, and a change takes effect without a restart except where a field says so.
 *
 * This is the document as a person writes it: every field may be left out. Unknown fields are refused.
 */
export const Document = Type.Object(
  {
    name: Type.Optional(Type.String({ pattern: '^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$', maxLength: 63 })),
    /** `host:port`. Takes effect at the next start. */
    listen: Type.Optional(
      Type.String({ pattern: '^(?:[^:\\s]+|\\[[0-9a-f:]+\\]):[0-9]{1,5}$', maxLength: 300 }),
    ),
    /** Gateway processes, all on that one port. Takes effect at the next start. */
    gateways: Type.Optional(Type.Integer({ minimum: 1, maximum: 16 })),
    /** The only `Host` that requests may name, with its port unless that is 80 or 443; any where left out. */
    loginServer: Type.Optional(
      Type.String({ pattern: '^(?:[A-Za-z0-9.-]+|\\[[0-9a-fA-F:]+\\])(?::[0-9]{1,5})?$', maxLength: 300 }),
    ),
    /** Whether it is there or not takes effect at the next start; its files are read again when they change. */
    tls: Type.Optional(Tls),
    /** Addresses, or networks as 10.0.0.0/8, whose `X-Forwarded-*` is believed. This machine's own by default. */
    trustedProxies: Type.Optional(
      Type.Array(Type.String({ minLength: 2, maxLength: 64 }), { maxItems: 1_000 }),
    ),
    /** How clients are asked to log in: for a Bearer token first (`Bearer`), or with each request (`Basic`). Both are taken. */
    challenge: Type.Optional(Challenge),
    /** What clients without an account may pull once there are accounts; nothing by default. */
    anonymousPull: Type.Optional(Type.Array(RepositoryPattern, { maxItems: 1_000 })),
    mode: Type.Optional(
      Type.Union([Mode, Type.Literal('Registry'), Type.Literal('Mirror')], {
        description: 'ReadWrite or ReadOnly (also by their older names, Registry and Mirror)',
      }),
    ),
    parent: Type.Optional(Parent),
    /** Which of the parent's come here: all (`*`) where the field is left out, none where the list is empty. */
    repositories: Type.Optional(
      Type.Array(Type.Union([RepositoryPattern, Selection]), { maxItems: MAX_SELECTIONS }),
    ),
    /**
     * When passes begin, or the window opens. Cron, five fields, UTC. `* * * * *` without a window, the default, is
     * the whole time: changes go up at once.
     */
    schedule: Type.Optional(Cron),
    /** How long the link may be used from each time of the schedule on; PT1M to P7D. */
    window: Type.Optional(Duration),
    /** The same by the name that the connected registry has for it; counts where `window` is left out. */
    syncWindow: Type.Optional(Duration),
    /** How long events are kept; P1D to P90D. */
    eventTtl: Type.Optional(Duration),
    /** The same by the name that the connected registry has for it; counts where `eventTtl` is left out. */
    messageTtl: Type.Optional(Duration),
    /** What the link may carry, all syncers and both directions together; by the time of day where it is a list. */
    bandwidth: Type.Optional(
      Type.Union([
        BitRate,
        Type.Array(
          Type.Object(
            {
              /** From here on, until `to`, which may be the next day; always where both are left out. The first entry that fits counts. */
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
    /** Free space of the data volume that is left alone: below it, nothing new is taken. */
    reserve: Type.Optional(Amount),
    garbageCollection: Type.Optional(
      Type.Object(
        {
          enabled: Type.Optional(Type.Boolean()),
          /** Cron, five fields, UTC. */
          schedule: Type.Optional(Cron),
          /** How long content that somebody was told of is kept although nothing links it. */
          grace: Type.Optional(Duration),
          /** When an upload that nobody goes on with is given up. */
          uploads: Type.Optional(Duration),
          /** The same for what came over the link. */
          transfers: Type.Optional(Duration),
        },
        { additionalProperties: false },
      ),
    ),
    scrub: Type.Optional(
      Type.Object(
        {
          /** Cron, five fields, UTC; never by itself where left out. */
          schedule: Type.Optional(Cron),
          /** Bytes a second. */
          rate: Type.Optional(Amount),
        },
        { additionalProperties: false },
      ),
    ),
    /** Syncer processes. Takes effect at the next start. */
    syncers: Type.Optional(Type.Integer({ minimum: 1, maximum: 64 })),
    /** Connections to the parent for each syncer and direction at most: as many are used as help. */
    connections: Type.Optional(Type.Integer({ minimum: 1, maximum: 64 })),
    /** Accounts: storage keeps them as declared, and leaves those alone that an operator made. */
    tokens: Type.Optional(Type.Array(DeclaredToken, { maxItems: 500 })),
    children: Type.Optional(Type.Array(DeclaredChild, { maxItems: 200 })),
    /** `none`: only what ends a process. */
    logLevel: Type.Optional(LogLevel),
  },
  { additionalProperties: false },
);
export type Document = Static<typeof Document>;

/** The document with every default filled in: what the services watch. */
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
  /** The first that fits counts; none that fits: no limit. Minutes of the day, UTC; `to` may be less than `from`. */
  bandwidth: Type.Array(
    Type.Object({
      from: Type.Optional(Type.Integer()),
      to: Type.Optional(Type.Integer()),
      /** Bytes a second. */
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
    /** Bytes a second. */
    rate: Type.Integer(),
  }),
  syncers: Type.Integer(),
  connections: Type.Integer(),
  /** As the log has them: debug, info, warn, error or fatal. */
  logLevel: Type.String({ maxLength: 16 }),
});
export type Configuration = Static<typeof Configuration>;

/** Key: `layer`. */
export const configuration = state('configuration', Configuration);
export const CONFIGURATION_KEY = 'layer';

/** A new configuration is in force; `fields` differ from the one before. */
export const configurationChanged = event(
  'configuration.changed',
  Type.Object({ fields: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 100 }) }),
);

/** A document was not valid; the configuration before it stays in force. */
export const configurationRefused = event(
  'configuration.refused',
  Type.Object({ source: FilePath, complaints: Type.Array(Reason, { maxItems: MAX_COMPLAINTS }) }),
);
