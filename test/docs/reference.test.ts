import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TSchema } from '@sinclair/typebox';
import { isMapping } from '#proto/contract/plain-data.ts';
import { Document } from '#proto/document/document.ts';
import { resolveDocument } from '#proto/document/resolve/resolve.ts';
import * as environment from '#proto/process/environment.ts';
import { ofKind } from './declared.ts';
import { pages } from './pages.ts';
import { propertiesOf } from './schemas.ts';

const root = join(import.meta.dirname, '../..');

function textOf(path: string): string {
  try {
    return readFileSync(join(root, path), 'utf8');
  } catch {
    return '';
  }
}

for (const [path, pageOf] of Object.entries(pages)) {
  test(`${path} is current`, () => {
    const generated = pageOf();
    // The first difference is enough; assert.equal would print both texts.
    if (textOf(path) === generated) return;
    const lines = textOf(path).split('\n');
    const at = generated.split('\n').findIndex((line, index) => line !== lines[index]);
    assert.fail(`${path} is stale: run \`npm run docs\` (line ${at < 0 ? lines.length : at + 1})`);
  });
}

test('the table of environment variables has each variable of the product, and no other', () => {
  const table = Object.values(environment).flatMap((variables) => Object.keys(variables));
  const texts = ['cli', 'proto', 'services']
    .flatMap((folder) =>
      readdirSync(join(root, folder), { encoding: 'utf8', recursive: true }).map(
        (file) => `${folder}/${file}`,
      ),
    )
    .filter((file) => /(\.ts|\/terrace|\/health)$/.test(file) && file !== 'proto/process/environment.ts')
    .filter((file) => file !== 'proto/process/health' && file !== 'cli/terminal')
    .map(textOf);
  const text = texts.join('\n');
  const constants = new Set([...text.matchAll(/\bconst ([A-Z_]+)\b/g)].map(([, name]) => name));
  const used = new Set(
    [...text.matchAll(/\b(?:TERRACE|ACR|IOTEDGE)_[A-Z_]*[A-Z]\b/g)]
      .map(([name]) => name)
      .filter((name) => !constants.has(name)),
  );
  assert.deepEqual(
    [...used].filter((name) => !table.includes(name)),
    [],
    'not in proto/process/environment.ts',
  );
  const unused = table.filter((name) => !new RegExp(`\\b${name}\\b`).test(text));
  assert.deepEqual(unused, [], 'not read anywhere');
});

/**
 * The document that has each default of the schema, apart from those of lists, of mappings with required fields, and of
 * the parent, which has none without an address.
 */
function defaultsOf({ properties = {} }: TSchema): Record<string, unknown> {
  const entries = Object.entries(properties as Record<string, TSchema>).flatMap(([name, schema]) => {
    const value = schema.default ?? (schema.properties && !schema.required ? defaultsOf(schema) : undefined);
    if (name === 'parent') return [];
    const isEmpty = value === undefined || (isMapping(value) && Object.keys(value).length === 0);
    return isEmpty ? [] : [[name, value]];
  });
  return Object.fromEntries(entries);
}

test('a document with every default of the reference resolves as the empty document', () => {
  const source = { readable: () => true };
  const text = JSON.stringify(defaultsOf(Document));
  assert.match(text, /"gateways":1,.*"grace":"PT1H"/);
  const resolved = (document: string) => {
    const result = resolveDocument({ text: document, ...source });
    return 'configuration' in result ? [result.configuration, result.accounts] : result;
  };
  assert.deepEqual(resolved(text), resolved(''));
});

test('every field of an event has a description', () => {
  const undescribed = ofKind('event').flatMap(({ message }) =>
    propertiesOf(message.data).flatMap(([name, { description }]) =>
      description ? [] : [`${message.type}: ${name}`],
    ),
  );
  assert.deepEqual(undescribed, []);
});

test('every event has a docstring', () => {
  const undescribed = ofKind('event').flatMap(({ message, description }) =>
    description ? [] : [message.type],
  );
  assert.deepEqual(undescribed, []);
});
