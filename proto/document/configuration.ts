import { type Static, Type } from '@sinclair/typebox';
import { described, event, state } from '../contract/contract.ts';
import { FilePath, Reason } from '../contract/scalars.ts';
import { Mode } from '../oci/mode.ts';
import { RepositoryPattern } from '../oci/repository-pattern.ts';
import { MAX_COMPLAINTS } from './complaints.ts';
import { ChallengeScheme, Document, THIS_MACHINE, Tls } from './document.ts';
import { Notifications } from './notifications.ts';
import { ParentDocument } from './parent.ts';
import { ArtifactType, ConflictPolicy, MAX_SELECTIONS, Platform, TagFilter } from './selection.ts';
import { Cron } from './upkeep.ts';

/**
 * The configuration of a layer. An operator writes a `Document`: in a YAML file, or in the desired properties of a
 * module twin. `resolve/` parses it, merges it with command-line options and the environment, and applies the defaults;
 * `validation/` checks it. Each complaint is a sentence that names the field and the remedy.
 *
 * twin-bridge puts a valid document on the bus as one state, `configuration`. Every service watches it, and a change
 * takes effect without a restart except where a field says so. An invalid document changes nothing: the previous
 * configuration stays in force, and the complaints are reported. `document.ts` declares the document, with parts in the
 * other files of this folder (`parent.ts`, `selection.ts`, `link.ts`, `notifications.ts`, `upkeep.ts`, `azure.ts`,
 * `declared-accounts.ts`), each field with its description and its remedy (`fields.ts`).
 */

export { Document, ParentDocument, RepositoryPattern, THIS_MACHINE, Tls };

/** The document with all defaults applied, as the services watch it. */
export const Configuration = Type.Object({
  name: Type.String({ maxLength: 63 }),
  listen: Type.String({ maxLength: 300 }),
  gateways: Type.Integer(),
  loginServer: Type.Optional(Type.String({ maxLength: 300 })),
  tls: Type.Optional(Tls),
  trustedProxies: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 1_000 }),
  challenge: ChallengeScheme,
  anonymousPull: Type.Array(RepositoryPattern, { maxItems: 1_000 }),
  mode: Mode,
  parent: Type.Optional(ParentDocument),
  repositories: Type.Array(
    Type.Object({
      name: RepositoryPattern,
      tags: Type.Optional(TagFilter),
      platforms: Type.Optional(Type.Array(Platform, { maxItems: 100 })),
      referrers: Type.Union([Type.Boolean(), Type.Array(ArtifactType, { maxItems: 100 })]),
      priority: Type.Integer(),
      conflict: ConflictPolicy,
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

/** A new configuration is in force. */
export const configurationChanged = event(
  'configuration.changed',
  Type.Object({
    fields: Type.Array(Type.String({ maxLength: 64 }), {
      maxItems: 100,
      description: 'Fields whose value changed.',
    }),
  }),
);

/** A document was invalid; the previous configuration stays in force. */
export const configurationRefused = event(
  'configuration.refused',
  Type.Object({
    source: described(FilePath, 'File or module twin that the document is from.'),
    complaints: Type.Array(Reason, {
      maxItems: MAX_COMPLAINTS,
      description: 'One sentence each, which names the field and the remedy.',
    }),
  }),
);
