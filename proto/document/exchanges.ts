import { FilePath } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Mode } from '../oci/mode.ts';
import { RepositoryPattern } from '../oci/repository-pattern.ts';
import { field, mapping, optional, orDefault } from './fields.ts';
import { Amount, bytesOf, Cron } from './quantities.ts';

/**
 * Exchange of archives with a layer to which there is no link: by folders that people, a file transfer or a one-way
 * line carry over. With the layer above, as fields of `parent`; with layers below, as the field `exchanges`.
 */

export const DEFAULT_OUTBOX_SCHEDULE = '0 * * * *';
/** Below 4 GiB: FAT32 has no larger files. */
export const DEFAULT_MAX_PART = '4GB';
/** A part holds at least the largest manifest and the list of the archive. */
export const MIN_PART_BYTES = 16 * 2 ** 20;

const LayerName = Type.String({ pattern: '^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$', maxLength: 63 });
const NAME_REMEDY = 'use lower-case letters, digits and - between them, 63 characters at most';
const KEYS = { minItems: 1, maxItems: 16 };

/** Fields of both kinds of exchange. */
export const exchangeFields = {
  outbox: optional(
    FilePath,
    'Folder to which this layer writes its archives for the other one.',
    'write the path of a folder',
    { otherwise: 'nothing is sent' },
  ),
  outboxSchedule: optional(
    Cron,
    'When an archive is written to `outbox`, if anything has changed.',
    'write cron with five fields (UTC), such as "0 * * * *"',
    { default: DEFAULT_OUTBOX_SCHEDULE },
  ),
  maxPartSize: optional(
    Amount,
    'Max size of the files of an archive.',
    'write bytes, 16MiB or more, such as 4GB',
    { default: DEFAULT_MAX_PART },
  ),
  signKeyFile: optional(
    FilePath,
    'Private key (PEM, Ed25519 or ECDSA P-256) with which archives in `outbox` are signed. Read again at each use.',
    'write the path of a PEM file with the private key',
    { otherwise: 'not signed' },
  ),
  verifyKeyFiles: optional(
    Type.Array(FilePath, KEYS),
    'Public keys (PEM): an archive is imported only if one of them verifies its signature. Read again at each use.',
    'write a list of paths of PEM files with public keys',
    { otherwise: 'by those of `archive.keyFiles`' },
  ),
};

export const exchangeFieldNames = Object.keys(exchangeFields) as (keyof typeof exchangeFields)[];

/** Fields of an exchange that name files or folders. */
export const exchangePaths = ['folder', 'inbox', 'outbox', 'signKeyFile', 'verifyKeyFiles'] as const;

/** Fields of `parent`, instead of `url`. */
export const parentFolderFields = {
  folder: optional(
    FilePath,
    'Instead of `url`, for a layer without a link to the one above: the folder in which its archives arrive.',
    'write the path of a folder',
  ),
  name: optional(
    LayerName,
    'With `folder`: the name of the layer above, as it names itself. Archives of others in the folder are ignored.',
    NAME_REMEDY,
    { otherwise: 'any' },
  ),
  ...exchangeFields,
};

/** Field `exchanges`. */
export const ExchangeDocument = mapping(
  {
    name: field(LayerName, 'Name of the layer below, as it names itself.', NAME_REMEDY),
    inbox: optional(
      FilePath,
      'Folder in which its archives arrive. What they change here is a push of that layer.',
      'write the path of a folder',
      { otherwise: 'nothing is received' },
    ),
    repositories: optional(
      Type.Array(RepositoryPattern, { minItems: 1, maxItems: 1_000 }),
      'Repositories that are exchanged.',
      'write a list of repository names, prefix/* or *',
      { default: ['*'] },
    ),
    mode: optional(
      Mode,
      'Whether what that layer changes is taken over, or only what it acknowledges.',
      'write ReadWrite or ReadOnly',
      { default: 'ReadWrite' },
    ),
    ...exchangeFields,
  },
  'A layer below that gets its content by archives.',
);
export type ExchangeDocument = Static<typeof ExchangeDocument>;

export const exchangesField = optional(
  Type.Array(ExchangeDocument, { maxItems: 100 }),
  'Layers below to which there is no link: each has folders for the archives that go there and come back.',
  'write a list of mappings with the field name and at least one of inbox and outbox',
  { default: [] },
);

const Path = Type.String({ maxLength: 4_096 });

/** An exchange as the services watch it. */
export const Exchange = Type.Object({
  /** Name of the other layer; absent if any layer may be the one above. */
  peer: Type.Optional(Type.String({ maxLength: 63 })),
  side: Type.Union([Type.Literal('child'), Type.Literal('parent')], {
    description: 'Which side this layer is.',
  }),
  inbox: Type.Optional(Path),
  outbox: Type.Optional(Path),
  outboxSchedule: Cron,
  maxPartBytes: Type.Integer(),
  signKeyFile: Type.Optional(Path),
  verifyKeyFiles: Type.Array(Path, { maxItems: KEYS.maxItems }),
  /** Of the parent side; the child exchanges what it selects. */
  repositories: Type.Array(RepositoryPattern, { maxItems: 1_000 }),
  /** Of the layer below. */
  mode: Mode,
});
export type Exchange = Static<typeof Exchange>;

type ExchangeOptions = Pick<ExchangeDocument, keyof typeof exchangeFields>;

const commonOf = ({ outbox, outboxSchedule, maxPartSize, signKeyFile, verifyKeyFiles }: ExchangeOptions) => ({
  ...(outbox !== undefined && { outbox }),
  outboxSchedule: orDefault(outboxSchedule, exchangeFields.outboxSchedule),
  maxPartBytes: bytesOf(String(orDefault(maxPartSize, exchangeFields.maxPartSize))) as number,
  ...(signKeyFile !== undefined && { signKeyFile }),
  verifyKeyFiles: verifyKeyFiles ?? [],
});

/** The exchanges of a valid document. Pure. */
export function exchangesOf(
  parent: (ExchangeOptions & { folder?: string; name?: string }) | undefined,
  mode: Mode,
  exchanges: readonly ExchangeDocument[] = [],
): Exchange[] {
  const above: Exchange[] =
    parent?.folder === undefined
      ? []
      : [
          {
            ...(parent.name !== undefined && { peer: parent.name }),
            side: 'child',
            inbox: parent.folder,
            ...commonOf(parent),
            repositories: [],
            mode,
          },
        ];
  const below = exchanges.map(
    ({ name, inbox, repositories, mode: below, ...options }): Exchange => ({
      peer: name,
      side: 'parent',
      ...(inbox !== undefined && { inbox }),
      ...commonOf(options),
      repositories: orDefault(repositories, ExchangeDocument.properties.repositories),
      mode: orDefault(below, ExchangeDocument.properties.mode),
    }),
  );
  return [...above, ...below];
}
