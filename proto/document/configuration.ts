import { Keep } from '../content/backups.ts';
import { DeltaMode } from '../content/deltas.ts';
import { described, event, state } from '../contract/contract.ts';
import { FilePath, Reason } from '../contract/scalars.ts';
import { type Static, type TSchema, Type } from '../contract/schema.ts';
import { Mode } from '../oci/mode.ts';
import { RepositoryPattern } from '../oci/repository-pattern.ts';
import { MAX_TRUSTED_KEYS } from './archive.ts';
import { SyslogTarget, syslogTargetOf } from './audit.ts';
import { loginServerOf } from './azure.ts';
import { MAX_COMPLAINTS } from './complaints.ts';
import { ChallengeScheme, Document, logLevels, THIS_MACHINE, Tls } from './document.ts';
import { Exchange, exchangesOf } from './exchanges.ts';
import { orDefault } from './fields.ts';
import { Notifications, notificationsOf } from './notifications.ts';
import { LinkedParent, ParentDocument } from './parent.ts';
import { bitRateOf, bytesOf, Cron, durationOf, minuteOf } from './quantities.ts';
import { ArtifactType, ConflictPolicy, MAX_SELECTIONS, Platform, Selection, TagFilter } from './selection.ts';

/**
 * The configuration of a layer. An operator writes a `Document`: in a YAML file, or in the desired properties of a
 * module twin. `resolve/` parses it, merges it with command-line options and the environment, and applies the defaults;
 * `validation/` checks it. Each complaint is a sentence that names the field and the remedy.
 *
 * twin-bridge puts a valid document on the bus as one state, `configuration`. Every service watches it, and a change
 * takes effect without a restart except where a field says so. An invalid document changes nothing: the previous
 * configuration stays in force, and the complaints are reported (`complaints.ts` bounds them).
 *
 * `document.ts` declares the document, with parts in `parent.ts`, `exchanges.ts`, `azure.ts`, `selection.ts`,
 * `link.ts`, `notifications.ts`, `upkeep.ts`, `archive.ts`, `delta.ts`, `audit.ts` and `declared-accounts.ts`, each
 * field with its description and its remedy (`fields.ts`). `quantities.ts`, `networks.ts` and
 * `notification-patterns.ts` parse and check texts of fields; `files.ts` checks the files that fields name.
 * `convert-accounts.ts` makes of the declared accounts what storage applies.
 */

export { Document, LinkedParent, ParentDocument, RepositoryPattern, THIS_MACHINE, Tls };

/** The document with all defaults applied, as the services watch it. */
export const Configuration = Type.Object({
  name: Type.String({ maxLength: 63 }),
  listen: Type.String({ maxLength: 300 }),
  gateways: Type.Integer(),
  operate: Type.Optional(Type.Object({ listen: Type.Optional(Type.String({ maxLength: 300 })) })),
  loginServer: Type.Optional(Type.String({ maxLength: 300 })),
  tls: Type.Optional(Tls),
  trustedProxies: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 1_000 }),
  challenge: ChallengeScheme,
  anonymousPull: Type.Array(RepositoryPattern, { maxItems: 1_000 }),
  mode: Mode,
  parent: Type.Optional(LinkedParent),
  /** With layers to which there is no link. */
  exchanges: Type.Optional(Type.Array(Exchange, { maxItems: 101 })),
  repositories: Type.Array(
    Type.Object({
      /** Repositories by their names in this layer. */
      name: RepositoryPattern,
      /** By their names at the parent, if these are others. */
      from: Type.Optional(RepositoryPattern),
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
  backup: Type.Optional(
    Type.Object({
      /** Absolute. */
      target: FilePath,
      schedule: Cron,
      keep: Keep,
      /** Bytes per second. */
      rate: Type.Optional(Type.Integer()),
    }),
  ),
  archive: Type.Optional(Type.Object({ keyFiles: Type.Array(FilePath, { maxItems: MAX_TRUSTED_KEYS }) })),
  /** Deltas: sizes in bytes, the time for one in ms. */
  delta: Type.Object({
    mode: DeltaMode,
    cache: Type.Integer(),
    scratch: Type.Integer(),
    timeMs: Type.Integer(),
  }),
  audit: Type.Optional(Type.Object({ syslog: SyslogTarget })),
  syncers: Type.Integer(),
  connections: Type.Integer(),
  /** Level of the log: debug, info, warn, error or fatal. */
  logLevel: Type.String({ maxLength: 16 }),
});
export type Configuration = Static<typeof Configuration>;

const fields = Document.properties;
const collection = fields.garbageCollection.properties;
const deltas = fields.delta.properties;

/**
 * The configuration of a valid document: its values in the units of `Configuration`, and the defaults of all others. By
 * default, a layer with a parent synchronizes all of its repositories, in both directions. Pure.
 */
export function configurationOf(document: Document): Configuration {
  const { window = document.syncWindow } = document;
  const { parent, garbageCollection: garbage = {} } = document;
  const given = orDefault(document.mode, fields.mode);
  const mode = given === 'Registry' ? 'ReadWrite' : given === 'Mirror' ? 'ReadOnly' : given;
  const exchanges = exchangesOf(parent, mode, document.exchanges);
  return {
    name: orDefault(document.name, fields.name),
    listen: orDefault(document.listen, fields.listen),
    gateways: orDefault(document.gateways, fields.gateways),
    ...(document.operate && { operate: document.operate }),
    ...(document.loginServer && { loginServer: document.loginServer.toLowerCase() }),
    ...(document.tls && { tls: document.tls }),
    trustedProxies: orDefault(document.trustedProxies, fields.trustedProxies),
    challenge: orDefault(document.challenge, fields.challenge),
    anonymousPull: orDefault(document.anonymousPull, fields.anonymousPull),
    mode,
    ...(parent && linkedParentOf(parent)),
    ...(exchanges.length > 0 && { exchanges }),
    repositories: (document.repositories ?? (parent ? ['*'] : [])).map(selectionOf(document)),
    schedule: orDefault(document.schedule, fields.schedule),
    ...(window && { windowMs: durationOf(window) as number }),
    eventTtlMs: duration(document.eventTtl ?? document.messageTtl, fields.eventTtl),
    bandwidth: limits(document.bandwidth),
    notifications: notificationsOf(document.notifications),
    reserve: amount(document.reserve, fields.reserve),
    garbageCollection: {
      enabled: orDefault(garbage.enabled, collection.enabled),
      schedule: orDefault(garbage.schedule, collection.schedule),
      graceMs: duration(garbage.grace, collection.grace),
      uploadsMs: duration(garbage.uploads, collection.uploads),
      transfersMs: duration(garbage.transfers, collection.transfers),
    },
    scrub: {
      ...(document.scrub?.schedule && { schedule: document.scrub.schedule }),
      rate: amount(document.scrub?.rate, fields.scrub.properties.rate),
    },
    ...(document.backup && { backup: backupOf(document.backup) }),
    ...(document.archive && { archive: { keyFiles: document.archive.keyFiles ?? [] } }),
    delta: {
      mode: orDefault(document.delta?.mode, deltas.mode),
      cache: amount(document.delta?.cache, deltas.cache),
      scratch: amount(document.delta?.scratch, deltas.scratch),
      timeMs: duration(document.delta?.time, deltas.time),
    },
    ...(document.audit?.syslog && { audit: { syslog: syslogTargetOf(document.audit.syslog) } }),
    syncers: orDefault(document.syncers, fields.syncers),
    connections: orDefault(document.connections, fields.connections),
    logLevel: logLevels[orDefault(document.logLevel, fields.logLevel)],
  };
}

function backupOf({ target, schedule, keep, rate }: NonNullable<Document['backup']>) {
  const { properties } = fields.backup;
  return {
    target,
    schedule: orDefault(schedule, properties.schedule),
    keep: orDefault(keep, properties.keep),
    ...(rate !== undefined && { rate: amount(rate, properties.rate) }),
  };
}

function linkedParentOf(parent: ParentDocument): { parent?: LinkedParent } {
  const { url, folder, name, outbox, outboxSchedule, maxPartSize, signKeyFile, verifyKeyFiles, ...login } =
    parent;
  return url === undefined ? {} : { parent: { ...login, url: loginServerOf(url.replace(/\/$/, '')) } };
}

const selectionOf =
  ({ conflict }: Document) =>
  (given: string | Selection): Configuration['repositories'][number] => {
    const { name, from, as, ...selection }: Selection = typeof given === 'string' ? { name: given } : given;
    const { referrers, priority } = Selection.properties;
    const local = (as ?? name) as string;
    // Defaults first: the syncer hashes the selections as JSON (services/syncer/reconcile/pass.ts).
    return {
      referrers: orDefault(selection.referrers, referrers),
      priority: orDefault(selection.priority, priority),
      conflict: orDefault(selection.conflict ?? conflict, fields.conflict),
      name: local,
      ...(from !== undefined && from !== local && { from }),
      ...selection,
    };
  };

function amount(value: string | number | undefined, field: TSchema): number {
  const given = orDefault(value, field);
  return typeof given === 'number' ? given : (bytesOf(given) as number);
}
const duration = (value: string | undefined, field: TSchema): number =>
  durationOf(orDefault(value, field)) as number;

function limits(bandwidth: Document['bandwidth'] = []): Configuration['bandwidth'] {
  const list = typeof bandwidth === 'string' ? [{ limit: bandwidth }] : bandwidth;
  return list.map(({ limit, from, to }: (typeof list)[number] & { from?: string; to?: string }) => ({
    ...(from && { from: minuteOf(from) }),
    ...(to && { to: minuteOf(to) }),
    limit: bitRateOf(limit) as number,
  }));
}

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
