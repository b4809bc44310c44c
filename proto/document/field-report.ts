import { described, request } from '../contract/contract.ts';
import { FilePath, Reason } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { MAX_COMPLAINTS } from './complaints.ts';

/** The configuration in force field by field, with where each value is from. twin-bridge answers it. */

export const FieldSource = Type.Union(
  [
    Type.Literal('file'),
    Type.Literal('twin'),
    Type.Literal('command line'),
    Type.Literal('environment'),
    Type.Literal('default'),
  ],
  { description: 'Where the value is from.' },
);
export type FieldSource = Static<typeof FieldSource>;

export const ConfigurationField = Type.Object(
  {
    field: Type.String({ maxLength: 256, description: 'Path of the field in a configuration document.' }),
    value: Type.Optional(
      Type.Unknown({
        description:
          'As written in a document; absent if it is not set and has no default. `…` stands for what is long or secret.',
      }),
    ),
    source: FieldSource,
    atStart: Type.Boolean({ description: 'A change takes effect when the layer is started again.' }),
  },
  { description: 'A field of the configuration.' },
);
export type ConfigurationField = Static<typeof ConfigurationField>;

export const ConfigurationReport = Type.Object(
  {
    fields: Type.Array(ConfigurationField, { maxItems: 500, description: 'In the order of the reference.' }),
    complaints: Type.Array(Reason, {
      maxItems: MAX_COMPLAINTS,
      description: 'Why the last document is not in force; empty if it is.',
    }),
    source: Type.Optional(described(FilePath, 'File or module twin that the document is from.')),
    version: Type.Optional(Type.Integer({ description: 'Version of the desired properties of the twin.' })),
  },
  { description: 'The configuration in force. Secrets are in files that fields name, never in fields.' },
);
export type ConfigurationReport = Static<typeof ConfigurationReport>;

/** `fields` is empty until a document is in force. */
export const getConfiguration = request(
  'twin-bridge.configuration.get',
  Type.Object({}),
  ConfigurationReport,
);
