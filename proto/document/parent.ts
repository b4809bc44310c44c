import { FilePath } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { AzureLogin } from './azure.ts';
import { parentFolderFields } from './exchanges.ts';
import { mapping, optional } from './fields.ts';

/** How a layer logs in at its parent. */
const loginFields = {
  username: optional(
    Type.String({ maxLength: 256 }),
    'Name for the login, with Basic or for a Bearer token, as the parent requires.',
    'write a string',
  ),
  passwordFile: optional(
    FilePath,
    'File that holds the password of `username`; a document never contains the password itself. Read again at each use.',
    'write the path of a file that holds the password',
  ),
  caFile: optional(
    FilePath,
    "CA certificates (PEM) that are trusted for the parent, in addition to the machine's. Read again when the file changes.",
    'write the path of a PEM file with the CA certificates of the parent',
  ),
  certificateFile: optional(
    FilePath,
    'Client certificate with its chain (PEM), for a parent that demands one. Sent to the parent only. Read again when the file changes.',
    'write the path of a PEM file with the client certificate and its chain',
  ),
  keyFile: optional(
    FilePath,
    'Private key of the client certificate (PEM). Read again when the file changes.',
    'write the path of a PEM file with the private key of the client certificate',
  ),
  allowedHosts: optional(
    Type.Array(Type.String({ minLength: 1, maxLength: 255 }), { maxItems: 100 }),
    "Hosts in private networks, in addition to the parent's own, to which the parent may redirect this layer for blobs and tokens: names (also `*.suffix`), addresses, networks.",
    'write a list of host names, such as storage.plant.example or *.plant.example, addresses or networks, such as 10.0.0.0/8',
  ),
  azure: Type.Optional(AzureLogin),
};

/** Field `parent` of a configuration document: the registry above the layer, and the login there. */
export const ParentDocument = mapping(
  {
    url: optional(
      Type.String({
        pattern: '^https?://[^/?#]+(?:/(?!\\.{1,2}(?:/|$))[A-Za-z0-9._~%:+-]+)*/?$',
        maxLength: 512,
      }),
      'The registry above this layer: any OCI registry, or a Terrace. Its address may have a path, below which the API is: `https://host/path` is asked at `https://host/path/v2/`. For Azure Container Registry, the login server; a data endpoint is replaced by its login server.',
      'write https://host or http://host, with an optional port and an optional path, without ? and #',
      { otherwise: 'required without `folder`' },
    ),
    ...loginFields,
    ...parentFolderFields,
  },
  'The registry above this layer, and the login there; or the folder in which its archives arrive. Without it, the layer has no parent.',
);
export type ParentDocument = Static<typeof ParentDocument>;

/** A parent with a link, as the services watch it. */
export const LinkedParent = Type.Object({ url: Type.String({ maxLength: 512 }), ...loginFields });
export type LinkedParent = Static<typeof LinkedParent>;
