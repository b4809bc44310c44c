import type { TSchema } from '#proto/contract/schema.ts';
import { Document } from '#proto/document/document.ts';
import { fieldsOf } from '#proto/document/fields.ts';
import type { ManualPage } from './command-pages.ts';
import { bold, example, heading, item, page, paragraph } from './roff.ts';

const SAMPLE = `name: line-3
parent:
  url: https://plant.example
  username: line-3
  passwordFile: plant.password
repositories:
  - line/*
  - name: base/app
    tags: { match: [v1.*] }
    platforms: [linux/arm64]`;

/** terrace.yaml(5): all fields of a document, from its schema. */
export function documentPage(version: string): ManualPage {
  const text = page('terrace.yaml', 5, version, 'configuration of a layer of Terrace', [
    heading('Description'),
    paragraph(
      'A document of YAML, given with `terrace up --config FILE`, or the desired properties of a module twin. It is read again when it changes. One that is not valid changes nothing, and `terrace status` says why; `terrace config check FILE` checks it before. Options of the command line take precedence over the document, and the document over the environment: `terrace config show` has each field with its source.',
    ),
    paragraph(
      'Durations are ISO 8601 (`PT90M`), sizes are bytes with a unit (`512MiB`), rates are bits a second (`2Mbit`), times are UTC. A pattern is the name of a repository, `prefix/*` or `*`. Relative paths are relative to the folder of the document.',
    ),
    heading('Fields'),
    ...[...fieldsOf(Document)].map(([path, schema]) => item(bold(path), textOf(schema))),
    heading('Example'),
    example(SAMPLE),
    heading('See also'),
    ['terrace(1)', 'terrace-up(1)', 'terrace-config(1)'].map(bold).join(', '),
  ]);
  return { file: 'terrace.yaml.5', text };
}

function textOf({ description = '', remedy, default: value, otherwise, atStart }: TSchema): string {
  const shown =
    value === undefined ? otherwise : `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
  return [
    description,
    ...(atStart && !description.includes('at the next start') ? ['Takes effect at the next start.'] : []),
    ...(remedy ? [`Valid: ${remedy.replace(/\.$/, '')}.`] : []),
    ...(shown === undefined ? [] : [`Default: ${shown}.`]),
  ].join(' ');
}
