import { type Static, Type } from '@sinclair/typebox';
import { event, state } from './contract.ts';

/**
 * What is asked of a layer: one document, from a file or a module twin, checked and put on the bus by twin-bridge as
 * one state. Every service watches it, and a change takes effect without a restart except where a field says so.
 */
export const Mode = Type.Union([Type.Literal('ReadWrite'), Type.Literal('ReadOnly')]);
export type Mode = Static<typeof Mode>;

export const Parent = Type.Object(
  {
    /** `https://registry.example` or `http://…`; its path, if any, is not used. */
    url: Type.String({ pattern: '^https?://[^/?#]+/?$' }),
    username: Type.Optional(Type.String()),
    /** A file that holds the password; a password itself never stands in a document. */
    passwordFile: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
);
export type Parent = Static<typeof Parent>;

/** `*`, `prefix/*` or the name of one repository. */
export const RepositoryPattern = Type.String({
  pattern: '^(?:\\*|[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?:/\\*)?)$',
  maxLength: 255,
});

/** The document as a person writes it: every field may be left out. Unknown fields are refused. */
export const Document = Type.Object(
  {
    name: Type.Optional(Type.String({ pattern: '^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$' })),
    /** `host:port`. Takes effect at the next start. */
    listen: Type.Optional(Type.String({ pattern: '^(?:[^:\\s]+|\\[[0-9a-f:]+\\]):[0-9]{1,5}$' })),
    mode: Type.Optional(
      Type.Union([Mode, Type.Literal('Registry'), Type.Literal('Mirror')], {
        description: 'ReadWrite or ReadOnly (also by their older names, Registry and Mirror)',
      }),
    ),
    parent: Type.Optional(Parent),
    /** Which of the parent's come here: all (`*`) where the field is left out, none where the list is empty. */
    repositories: Type.Optional(Type.Array(RepositoryPattern)),
    /** Cron, five fields, UTC. */
    schedule: Type.Optional(Type.String()),
    conflict: Type.Optional(Type.Union([Type.Literal('parent-wins'), Type.Literal('layer-wins')])),
    /** Syncer processes. Takes effect at the next start. */
    syncers: Type.Optional(Type.Integer({ minimum: 1, maximum: 64 })),
    /** Connections to the parent for each syncer. */
    connections: Type.Optional(Type.Integer({ minimum: 1, maximum: 64 })),
    logLevel: Type.Optional(
      Type.Union([Type.Literal('debug'), Type.Literal('info'), Type.Literal('warn'), Type.Literal('error')]),
    ),
  },
  { additionalProperties: false },
);
export type Document = Static<typeof Document>;

/** The document with every default filled in: what the services watch. */
export const Configuration = Type.Object({
  name: Type.String(),
  listen: Type.String(),
  mode: Mode,
  parent: Type.Optional(Parent),
  repositories: Type.Array(RepositoryPattern),
  schedule: Type.String(),
  conflict: Type.Union([Type.Literal('parent-wins'), Type.Literal('layer-wins')]),
  syncers: Type.Integer(),
  connections: Type.Integer(),
  logLevel: Type.String(),
});
export type Configuration = Static<typeof Configuration>;

/** Key: `layer`. */
export const configuration = state('configuration', Configuration);
export const CONFIGURATION_KEY = 'layer';

/** A new configuration is in force; `fields` differ from the one before. */
export const configurationChanged = event(
  'configuration.changed',
  Type.Object({ fields: Type.Array(Type.String()) }),
);

/** A document was not valid; the configuration before it stays in force. */
export const configurationRefused = event(
  'configuration.refused',
  Type.Object({ source: Type.String(), complaints: Type.Array(Type.String()) }),
);
