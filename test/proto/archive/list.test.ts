import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalJson } from '#proto/archive/canonical-json.ts';
import { type ArchiveList, encodeList, readList } from '#proto/archive/list.ts';
import { isListName, listName, partName, setName } from '#proto/archive/set-names.ts';
import { Fault } from '#proto/contract/fault.ts';

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const [A, B] = [digest('a'), digest('b')];

const list: ArchiveList = {
  format: 'terrace-archive',
  version: 1,
  sender: { layer: 'north', instance: 'i', epoch: '0'.repeat(32), since: 1 },
  target: { name: 'south', epoch: null, imported: null },
  number: 2,
  previous: A,
  created: 2,
  since: 1,
  requests: { epoch: null, missing: [], lacking: [] },
  selection: ['*'],
  repositories: [
    {
      name: 'app',
      tags: [
        { tag: '1', digest: A, mine: 1, theirs: 0 },
        { tag: '2', digest: null, mine: 2, theirs: 0 },
      ],
      referrers: [B],
      leftOut: [],
    },
  ],
  manifests: [{ digest: A, mediaType: 'application/vnd.oci.image.manifest.v1+json', size: 10 }],
  parts: [{ size: 10_000, digest: A }],
  content: [{ digest: A, size: 10, pieces: [{ part: 0, offset: 512, size: 10 }] }],
};
const bytesOf = (value: unknown) => Buffer.from(JSON.stringify(value));

test('a list is read as it was written, and the same list is always the same text', () => {
  const bytes = encodeList(list);
  assert.deepEqual(readList(bytes), list);
  const shuffled = Object.fromEntries(Object.entries(list).reverse()) as ArchiveList;
  assert.deepEqual(encodeList(shuffled), bytes);
  assert.equal(canonicalJson({ b: [{ d: 1, c: undefined }], a: 'x' }), '{"a":"x","b":[{"d":1}]}');
});

const wrongs: [string, (wrong: ArchiveList) => void, RegExp][] = [
  ['another version', (wrong) => Object.assign(wrong, { version: 2 }), /version/],
  ['a number that is none', (wrong) => Object.assign(wrong, { number: 0 }), /number/],
  ['a name with a path', (wrong) => Object.assign(wrong.sender, { layer: '../north' }), /layer/],
  [
    'content outside of its part',
    (wrong) => Object.assign(wrong.content[0]?.pieces[0] ?? {}, { offset: 9_995 }),
    /outside of its part/,
  ],
  [
    'content in a part that is not listed',
    (wrong) => Object.assign(wrong.content[0]?.pieces[0] ?? {}, { part: 7 }),
    /outside of its part/,
  ],
  [
    'pieces that are not the content',
    (wrong) => Object.assign(wrong.content[0] ?? {}, { size: 11 }),
    /do not add up/,
  ],
  [
    'content that is listed twice',
    (wrong) => wrong.content.push(...wrong.content),
    /content: sha256:a+ is listed twice/,
  ],
  [
    'a tag that is listed twice',
    (wrong) => wrong.repositories[0]?.tags.push({ tag: '1', digest: B, mine: 1, theirs: 0 }),
    /tags of app: 1 is listed twice/,
  ],
  ['a field that is no plain data', (wrong) => Object.assign(wrong, { constructor: 1 }), /constructor/],
];
for (const [what, change, expected] of wrongs) {
  test(`a list with ${what} is refused`, () => {
    const wrong = structuredClone(list);
    change(wrong);
    assert.throws(
      () => readList(bytesOf(wrong)),
      (error: Error) => Fault.is(error, 'malformed') && expected.test(error.message),
    );
  });
}

test('whatever the bytes are, a list is read or refused with a fault', () => {
  const text = JSON.stringify(list);
  const damaged = fc
    .tuple(fc.nat(text.length - 1), fc.nat(text.length - 1), fc.string({ maxLength: 20 }))
    .map(([a, b, between]) => text.slice(0, Math.min(a, b)) + between + text.slice(Math.max(a, b)));
  const values = fc
    .jsonValue({ maxDepth: 5 })
    .map((value) => JSON.stringify({ ...list, content: value, parts: value }));
  fc.assert(
    fc.property(fc.oneof(fc.string(), damaged, values), (json) => {
      try {
        assert.equal(readList(Buffer.from(json)).format, 'terrace-archive');
      } catch (error) {
        assert.ok(Fault.is(error, 'malformed', 'too-large'), String(error));
      }
    }),
    { numRuns: 2_000 },
  );
  assert.throws(
    () => readList(Buffer.from(`[${'['.repeat(5_000_000)}`)),
    (error) => Fault.is(error, 'too-large'),
  );
  assert.throws(
    () => readList(Buffer.from(`[${'0,'.repeat(6_000_000)}0]`)),
    (error) => Fault.is(error, 'too-large'),
  );
});

test('names of files contain nothing that a removable disk refuses', () => {
  const set = setName('plant-a', 'south', 12);
  assert.equal(listName(set), 'terrace-plant-a-south-000012-list.json');
  assert.equal(partName(set, 0), 'terrace-plant-a-south-000012-part-001.tar');
  assert.equal(partName(set, 1_233), 'terrace-plant-a-south-000012-part-1234.tar');
  assert.ok(isListName(listName(set)));
  assert.ok(isListName(listName(setName('a'.repeat(63), 'b'.repeat(63), 999_999))));
  for (const name of [
    '../terrace-a-b-000001-list.json',
    'terrace-a-b-1-list.json',
    `${listName(set)}.unfinished`,
  ]) {
    assert.ok(!isListName(name), name);
  }
});
