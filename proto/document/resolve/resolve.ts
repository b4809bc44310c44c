import { createRequire } from 'node:module';
import type * as Yaml from 'yaml';
import { isMapping } from '../../contract/plain-data.ts';
import { type Configuration, configurationOf } from '../configuration.ts';
import { declaredAccounts } from '../convert-accounts.ts';
import type { DeclaredAccount } from '../declared-accounts.ts';
import { Document } from '../document.ts';
import type { DocumentFiles } from '../files.ts';
import { complaintsOf } from '../validation/document.ts';
import { type FieldOrigin, originsOf } from './field-origins.ts';
import { type Fields, merge, type Overrides, resolveWebhookPaths } from './merge.ts';

/**
 * From a configuration document as a person writes it to the configuration in force. Pure.
 *
 * `resolveDocument` parses the YAML, resolves relative paths, merges the document with other sources (`merge.ts`),
 * validates the result (`../validation/document.ts`) and applies the defaults (`configurationOf`). In order of
 * precedence, the sources are: command-line options (`overrides`), the document, the document below it (`lower`), and
 * the environment (`defaults`: `module-environment.ts`, with the login from `connection-string.ts`). If a step has
 * complaints, it returns them and nothing else; otherwise it returns the configuration and the declared accounts.
 */

const require = createRequire(import.meta.url);

export type { Overrides } from './merge.ts';

export type DocumentInput = {
  /** YAML; absent without a file. */
  text?: string | undefined;
  /** Base of relative paths in the text. */
  folder?: string | undefined;
  /** Fields that override those of the text: command-line options. Their paths are absolute. */
  overrides?: Overrides | undefined;
  /**
   * Fields used if no other source has them: those of the environment. Their paths are absolute. A login applies to its
   * parent only: it is ignored if another parent is given.
   */
  defaults?: Overrides | undefined;
  /** A document whose fields are used if the text does not have them; they precede `defaults`. */
  lower?: { text: string; folder: string } | undefined;
  /** The text arrives after the start: fields that take effect only at a start are complaints. */
  late?: boolean | undefined;
} & DocumentFiles;

/** Each complaint is one sentence that names the field and the remedy. */
export type Resolved =
  | {
      configuration: Configuration;
      accounts: DeclaredAccount[];
      /** The merged document, before defaults, and where each of its fields is from. */
      document: Document;
      origins: Map<string, FieldOrigin>;
    }
  | { complaints: string[] };

export function resolveDocument(source: DocumentInput): Resolved {
  const { text, folder = '.', overrides = {}, defaults = {}, lower, late, ...files } = source;
  const parsed = parse(text ?? '');
  if ('complaints' in parsed) return parsed;
  const tooLate = late ? startFields.filter((field) => field in parsed.fields) : [];
  for (const field of tooLate) delete parsed.fields[field];
  resolveWebhookPaths(parsed.fields.notifications, folder);
  const lowerDocument = parse(lower?.text ?? '');
  if ('complaints' in lowerDocument) return lowerDocument;
  const lowerFolder = lower?.folder ?? '.';
  resolveWebhookPaths(lowerDocument.fields.notifications, lowerFolder);
  const base = merge(lowerDocument.fields, {}, defaults, lowerFolder);
  const fields = merge(parsed.fields, overrides, base, folder);
  const complaints = [...tooLate.map(lateComplaint), ...complaintsOf(fields, files)];
  if (complaints.length > 0) return { complaints };
  const document = fields as Document;
  const origins = originsOf(fields, {
    overrides,
    document: parsed.fields,
    lower: lowerDocument.fields,
  });
  return {
    configuration: configurationOf(document),
    accounts: declaredAccounts(document),
    document,
    origins,
  };
}

/** Fields that take effect only when the processes of a layer are started. */
const startFields = Object.entries(Document.properties).flatMap(([name, { atStart }]) =>
  atStart ? [name] : [],
);

const lateComplaint = (field: string): string =>
  `${field} takes effect at the start, before this document is read: remove it, and set it as an option of "terrace up" or in its file`;

function parse(text: string): { fields: Fields } | { complaints: string[] } {
  if (text === '') return { fields: {} };
  // Loaded on demand: many layers have no document, and its 72 files take a while.
  const { parseDocument } = require('yaml') as typeof Yaml;
  const yaml = parseDocument(text, { prettyErrors: true });
  const [error] = yaml.errors;
  if (error) return { complaints: [`the document is not YAML: ${error.message.split('\n')[0]}`] };
  let value: unknown;
  try {
    value = yaml.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    return { complaints: [`the document is not valid YAML: ${(cause as Error).message}`] };
  }
  if (value === null || value === undefined) return { fields: {} };
  if (!isMapping(value)) {
    return { complaints: ['the document is not a mapping: write fields, such as "listen: 127.0.0.1:5000"'] };
  }
  return { fields: withoutNulls(value) };
}

/** A field without a value counts as absent. */
function withoutNulls(fields: Fields): Fields {
  const clean = (value: unknown): unknown =>
    isMapping(value) ? withoutNulls(value) : Array.isArray(value) ? value.map(clean) : value;
  const entries = Object.entries(fields).filter(([, value]) => value !== null);
  return Object.fromEntries(entries.map(([key, value]) => [key, clean(value)]));
}
