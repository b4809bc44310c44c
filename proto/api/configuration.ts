import { type Static, Type } from '../contract/schema.ts';
import { ConfigurationReport } from '../document/field-report.ts';

/** The configuration in force, and where each value is from. */

export const ConfigurationAnswer = Type.Object(
  {
    ...ConfigurationReport.properties,
    pending: Type.Optional(Type.Boolean({ description: 'A document is being read or put in force.' })),
    known: Type.Boolean({ description: 'twin-bridge answers; otherwise nothing else is known.' }),
  },
  { description: 'The configuration in force. Secrets are in files that fields name, never in fields.' },
);
export type ConfigurationAnswer = Static<typeof ConfigurationAnswer>;
