import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { loserTag } from '../../../proto/sync/conflict-tag.ts';
import {
  type ImportRules,
  inEpochs,
  inNewEpoch,
  mayForget,
  mirrored,
  planTagImport,
  stampTag,
  type TagRecord,
} from '../../../proto/sync/tag-versions.ts';

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const [A, B] = ['a', 'b'].map(digest) as [string, string];
const record = (of: string | undefined, mine: number, theirs: number): TagRecord => ({
  digest: of,
  version: { mine, theirs },
});
const child: ImportRules = { side: 'child', mode: 'ReadWrite', conflict: 'parent-wins', archive: 5 };

type Row = [name: string, here: TagRecord | undefined, received: TagRecord, Partial<ImportRules>, string];
const rows: Row[] = [
  ['a new tag is taken', undefined, record(A, 0, 1), {}, 'take a, then a 0/1'],
  ['a newer version is taken', record(A, 0, 1), record(B, 0, 2), {}, 'take b, then b 0/2'],
  ['a newer deletion is taken', record(A, 0, 1), record(undefined, 0, 2), {}, 'drop -, then - 0/2'],
  ['an older version is ignored', record(B, 3, 1), record(A, 0, 1), {}, 'nothing, then b 3/1'],
  ['what a sender repeats is ignored', record(A, 2, 1), record(B, 0, 1), {}, 'nothing, then a 2/1'],
  ['equal content is agreed', record(A, 1, 0), record(A, 0, 1), {}, 'nothing, then a 1/1'],
  ['the parent wins', record(A, 2, 1), record(B, 1, 2), {}, 'take b, loser a, then b 2/2'],
  [
    'the layer wins',
    record(A, 2, 1),
    record(B, 1, 2),
    { conflict: 'layer-wins' },
    'push a, loser b, then a 5/2',
  ],
  ['a change beats a deletion', record(A, 2, 1), record(undefined, 1, 2), {}, 'push a, then a 5/2'],
  ['a change beats a deletion here', record(undefined, 2, 1), record(B, 1, 2), {}, 'take b, then b 2/2'],
  ['the parent waits', record(A, 2, 1), record(B, 1, 2), { side: 'parent' }, 'nothing, then a 2/1'],
  ['the parent takes', record(A, 2, 1), record(B, 2, 2), { side: 'parent' }, 'take b, then b 2/2'],
  [
    'equal versions of different content',
    record(A, 1, 1),
    record(B, 1, 1),
    {},
    'take b, loser a, then b 1/1',
  ],
  [
    'ReadOnly takes back',
    record(A, 2, 1),
    record(B, 0, 1),
    { mode: 'ReadOnly' },
    'take b, loser a, then b 2/1',
  ],
  ['ReadOnly retains', record(A, 2, 1), record(undefined, 1, 2), { mode: 'ReadOnly' }, 'nothing, then a 2/2'],
  [
    'a ReadOnly child changes nothing',
    record(A, 2, 1),
    record(B, 2, 2),
    { side: 'parent', mode: 'ReadOnly' },
    'nothing, then a 2/1',
  ],
  ['a deletion of nothing', undefined, record(undefined, 0, 4), {}, 'nothing, then no record'],
];

const short = (of: string | undefined) => of?.slice(7, 8) ?? '-';

for (const [name, here, received, rules, expected] of rows) {
  test(`import of a tag: ${name}`, () => {
    const { action, record: after } = planTagImport(here, received, { ...child, ...rules });
    const planned = action
      ? `${action.kind} ${short(action.digest)}${action.loser ? `, loser ${short(action.loser)}` : ''}`
      : 'nothing';
    const then = after ? `${short(after.digest)} ${after.version.mine}/${after.version.theirs}` : 'no record';
    assert.equal(`${planned}, then ${then}`, expected);
  });
}

test('only a change is stamped', () => {
  assert.deepEqual(stampTag(undefined, A, 3), record(A, 3, 0));
  assert.deepEqual(stampTag(record(A, 1, 2), A, 3), record(A, 1, 2));
  assert.deepEqual(stampTag(record(A, 1, 2), undefined, 3), record(undefined, 3, 2));
  assert.equal(stampTag(undefined, undefined, 3), undefined);
});

test('a deletion is forgotten once the other side has it', () => {
  assert.ok(!mayForget(record(A, 1, 0), 9, undefined));
  assert.ok(!mayForget(record(undefined, 4, 0), 3, undefined));
  assert.ok(!mayForget(record(undefined, 4, 0), 4, record(B, 0, 1)));
  assert.ok(mayForget(record(undefined, 4, 0), 4, undefined));
  assert.ok(mayForget(record(undefined, 4, 0), 4, record(undefined, 0, 4)));
});

/** Two layers that only exchange archives. */
type Archive = {
  number: number;
  epoch: number;
  peerEpoch: number;
  acknowledged: number;
  tags: Map<string, TagRecord>;
};
type Layer = {
  side: 'child' | 'parent';
  tags: Map<string, string>;
  records: Map<string, TagRecord>;
  next: number;
  epoch: number;
  peer: { epoch: number; imported: number };
  sent: Archive[];
  hasNews: boolean;
  backup?: Map<string, string>;
};
const newLayer = (side: Layer['side'], epoch: number): Layer => ({
  side,
  tags: new Map(),
  records: new Map(),
  next: 1,
  epoch,
  peer: { epoch: 0, imported: 0 },
  sent: [],
  hasNews: false,
});

function stampAll(layer: Layer): void {
  for (const tag of new Set([...layer.tags.keys(), ...layer.records.keys()])) {
    const stamped = stampTag(layer.records.get(tag), layer.tags.get(tag), layer.next);
    if (stamped) layer.records.set(tag, stamped);
  }
}

/** Writes nothing if there is nothing to say. */
function exportFrom(layer: Layer): void {
  stampAll(layer);
  const isChanged = [...layer.records.values()].some(({ version }) => version.mine >= layer.next);
  const isFirst = layer.sent.at(-1)?.epoch !== layer.epoch;
  if (!isChanged && !layer.hasNews && !isFirst) return;
  layer.hasNews = false;
  const { epoch, peer, next: number } = layer;
  layer.sent.push({
    number,
    epoch,
    peerEpoch: peer.epoch,
    acknowledged: peer.imported,
    tags: new Map(layer.records),
  });
  layer.next += 1;
}

function importInto(layer: Layer, archive: Archive | undefined, rules: ImportRules): void {
  if (!archive || (archive.epoch === layer.peer.epoch && archive.number <= layer.peer.imported)) return;
  stampAll(layer);
  if (archive.epoch !== layer.peer.epoch) {
    const isFirst = layer.peer.epoch === 0;
    for (const [tag, one] of layer.records) if (!isFirst) layer.records.set(tag, inNewEpoch(one, layer.next));
  }
  const knowsMe = archive.peerEpoch === layer.epoch;
  const last = archive.epoch === layer.peer.epoch ? layer.peer.imported : 0;
  layer.hasNews ||= [...archive.tags.values()].some(({ version }) => version.mine > last);
  for (const [tag, { digest: of, version }] of archive.tags) {
    const received = { digest: of, version: inEpochs(mirrored(version), { mine: knowsMe, theirs: true }) };
    const { action, record: after } = planTagImport(layer.records.get(tag), received, rules);
    if (after) layer.records.set(tag, after);
    if (!action) continue;
    if (action.loser) layer.tags.set(loserTag(tag, 'c', action.loser), action.loser);
    if (action.digest) layer.tags.set(tag, action.digest);
    else layer.tags.delete(tag);
  }
  for (const [tag, one] of layer.records) {
    if (mayForget(one, knowsMe ? archive.acknowledged : 0, archive.tags.get(tag))) layer.records.delete(tag);
  }
  layer.peer = { epoch: archive.epoch, imported: archive.number };
}

const at = fc.constantFrom(0 as const, 1 as const);
const tag = fc.integer({ min: 0, max: 1 });
const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('push' as const), at, tag }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), at, tag }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('export' as const), at }) },
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant('import' as const),
        at,
        back: fc.integer({ min: 0, max: 3 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('backup' as const), at }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('restore' as const), at }) },
  ),
  { maxLength: 40 },
);
const policies = fc.constantFrom('parent-wins' as const, 'layer-wins' as const);

test('after any history of changes and of archives that are lost, repeated or late, both sides agree and nothing is lost', () => {
  fc.assert(
    fc.property(steps, policies, (history, conflict) => {
      const layers: [Layer, Layer] = [newLayer('parent', 1), newLayer('child', 2)];
      const rules = ({ side, next: archive }: Layer): ImportRules => ({
        side,
        mode: 'ReadWrite',
        conflict,
        archive,
      });
      const live = new Map<string, string>();
      let count = 0;
      const other = (index: 0 | 1) => layers[index === 0 ? 1 : 0];
      const replaced = (layer: Layer, name: string) => live.delete(layer.tags.get(name) ?? '');
      for (const step of history) {
        const layer = layers[step.at];
        const name = `t${'tag' in step ? step.tag : ''}`;
        if (step.kind === 'push') {
          count += 1;
          const content = `sha256:${String(count).padStart(64, '0').split('').reverse().join('')}`;
          replaced(layer, name);
          layer.tags.set(name, content);
          live.set(content, name);
        } else if (step.kind === 'delete') {
          replaced(layer, name);
          layer.tags.delete(name);
        } else if (step.kind === 'backup') {
          layer.backup = new Map(layer.tags);
        } else if (step.kind === 'export') {
          exportFrom(layer);
        } else if (step.kind === 'import') {
          importInto(layer, other(step.at).sent.at(-1 - step.back), rules(layer));
        } else {
          // Its tags are those of a backup, if there is one; its records are lost, and so is what was here alone.
          layer.tags = new Map(layer.backup ?? layer.tags);
          layer.records.clear();
          Object.assign(layer, { next: 1, epoch: layer.epoch + 2, peer: { epoch: 0, imported: 0 } });
          const left = new Set(layers.flatMap(({ tags }) => [...tags.values()]));
          for (const digest of live.keys()) if (!left.has(digest)) live.delete(digest);
        }
      }
      for (let round = 0; round < 4; round += 1) {
        for (const index of [0, 1] as const) {
          exportFrom(layers[index]);
          importInto(other(index), layers[index].sent.at(-1), rules(other(index)));
        }
      }
      const [parent, below] = layers.map(({ tags }) => Object.fromEntries([...tags].sort()));
      assert.deepEqual(parent, below);
      const reachable = new Set(Object.values(parent ?? {}));
      for (const [content, name] of live) assert.ok(reachable.has(content), `${content} of ${name} is lost`);
      const deleted = layers.flatMap(({ records }) => [...records.values()].filter((one) => !one.digest));
      assert.equal(deleted.length, 0, 'records of deleted tags remain');
    }),
    { numRuns: 2_000 },
  );
});
