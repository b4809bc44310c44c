import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { Document } from '#proto/document/document.ts';
import { fieldsOf } from '#proto/document/fields.ts';
import { documentSchema } from '../../../cli/document/document-schema.ts';

/** The schema as other tools read it: JSON Schema, draft 7. */

const schema = JSON.parse(JSON.stringify(documentSchema()));
const validate = new Ajv({ strict: true, allowUnionTypes: true }).compile(schema);
const root = join(import.meta.dirname, '../../..');

test('the schema has no words of its own, and a description of each field', () => {
  const fields = fieldsOf(schema);
  assert.deepEqual([...fields.keys()], [...fieldsOf(Document).keys()]);
  for (const [path, field] of fields) assert.ok(field.description, path);
});

/** Documents in guides: blocks of YAML whose fields are those of a document. */
const documents = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.md'))
  .flatMap((file) => {
    const text = readFileSync(join(root, 'docs', file), 'utf8');
    return [...text.matchAll(/^```yaml\n(.*?)^```/gms)].map(([, block = '']) => ({ file, block }));
  })
  .filter(({ block }) => !block.includes('…'))
  .filter(({ block }) =>
    /^(?:# .*\n)*(?:name|mode|parent|repositories|tokens|children|tls|listen):/.test(block),
  );

test('the documents of the guides are valid by it', () => {
  assert.ok(documents.length > 3);
  for (const { file, block } of documents) {
    assert.ok(validate(parse(block)), `${file}:\n${block}\n${JSON.stringify(validate.errors)}`);
  }
});

const wrong = [
  'listn: a',
  'mode: Neither',
  'repositories: [{ nam: a }]',
  'gateways: 0',
  'parent: { url: 3 }',
  '- a',
];
for (const text of wrong) {
  test(`a document is not valid by it: ${text}`, () => assert.equal(validate(parse(text)), false));
}
