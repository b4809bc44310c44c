import { Document } from '#proto/document/document.ts';
import type { ConfigurationField } from '#proto/document/field-report.ts';
import { fieldsOf } from '#proto/document/fields.ts';
import { wrapLines } from '../terminal/layout.ts';
import { table } from '../terminal/table.ts';

/** A configuration field by field, with the source of each: for people, and as YAML. Pure. */

export type ShownConfiguration = {
  /** A layer runs on the data folder, and its configuration is shown. */
  running: boolean;
  data: string;
  /** File or module twin that the document is from. */
  source?: string;
  /** Version of the desired properties of a twin. */
  version?: number;
  /** Why the last document is not in force. */
  complaints: string[];
  fields: ConfigurationField[];
};

export function configurationText(shown: ShownConfiguration, width: number): string {
  const isSet = ({ field, value }: ConfigurationField) => (value ?? inWords(field)) !== undefined;
  const set = shown.fields.filter(isSet);
  const unset = shown.fields.filter((field) => !isSet(field)).map(({ field }) => field);
  const rows = set.map((field) => [
    field.field,
    field.value === undefined ? (inWords(field.field) ?? '') : valueText(field.value),
    `${sourceOf(field, shown)}${field.atStart && shown.running ? ' *' : ''}`,
  ]);
  return [
    wrapLines(headOf(shown), width),
    ...(shown.complaints.length > 0
      ? [
          [
            'The document is not valid; the previous one stays in force:',
            ...shown.complaints.map((one) => wrapLines(`  ${one}`, width)),
          ].join('\n'),
        ]
      : []),
    `${table([['FIELD', 'VALUE', 'SOURCE'], ...rows], width)}${shown.running ? AT_START : ''}`,
    ...(unset.length > 0 ? [wrapLines(`Not set: ${unset.join(', ')}.`, width)] : []),
  ].join('\n\n');
}

const AT_START = '\n* A change takes effect at the next start.';

const fields = fieldsOf(Document);
/** The default of a field that other fields decide. */
const inWords = (field: string): string | undefined => fields.get(field)?.otherwise?.replaceAll('`', '');

function headOf({ running, data, source, version }: ShownConfiguration): string {
  if (!running) return `No layer runs on ${data}: "terrace up" would start it with this configuration.`;
  const from = source ? `, from ${source}` : '';
  return `Configuration of the layer on ${data}${from}${version === undefined ? '' : `, version ${version}`}:`;
}

const sourceOf = ({ source }: ConfigurationField, shown: ShownConfiguration): string =>
  source === 'file' && shown.source ? `file ${shown.source}` : source;

/** Texts without quotes, all else as JSON. */
const valueText = (value: unknown): string => {
  if (typeof value === 'string') return value;
  if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value.join(', ') || '[]';
  return JSON.stringify(value);
};

/** A document with all values in force, each with its source as a comment. Secrets are not in it. */
export function configurationYaml(shown: ShownConfiguration): string {
  const lines = [`# ${headOf(shown).replace(/[.:]$/, '')}`];
  let owner = '';
  for (const { field, value, source } of shown.fields) {
    if (value === undefined) continue;
    const [first = '', inner] = field.split('.');
    if (inner !== undefined && first !== owner) lines.push(`${first}:`);
    owner = inner === undefined ? '' : first;
    // JSON is YAML.
    const text = JSON.stringify(value);
    lines.push(`${inner === undefined ? first : `  ${inner}`}: ${text} # ${source}`);
  }
  return lines.join('\n');
}
