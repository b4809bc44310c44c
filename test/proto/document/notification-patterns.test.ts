import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Artifact, readNotificationPattern, selects } from '#proto/document/notification-patterns.ts';
import { random } from '../../support/time/random.ts';

const A = `sha256:${'a'.repeat(64)}`;
const B = `sha512:${'b'.repeat(128)}`;

/** By description: tags pushed and deleted, manifests pushed and deleted. */
const events: Record<string, Artifact> = {
  'push of a tag': { name: 'path/to/repo', tag: 'myTag', digest: A, action: 'push' },
  'deletion of a tag': { name: 'path/to/repo', tag: 'myTag', digest: A, action: 'delete' },
  'push of a manifest': { name: 'path/to/repo', digest: A, action: 'push' },
  'deletion of a manifest': { name: 'path/to/repo', digest: A, action: 'delete' },
  'push of another tag': { name: 'path/to/repo', tag: 'other', digest: B, action: 'push' },
  'push below': { name: 'path/to/repo/sub', tag: 'myTag', digest: A, action: 'push' },
  'deletion elsewhere': { name: 'else', tag: 'x', digest: B, action: 'delete' },
};
const all = Object.keys(events);
const including = (part: string) => all.filter((name) => name.includes(part));

const table: Record<string, string[]> = {
  '*:*': all,
  '*:push': including('push'),
  '*:delete': including('deletion'),
  '*:*:*': all.filter((name) => !name.includes('manifest')),
  '*@*:*': including('manifest'),
  '*:*@*:*': all.filter((name) => !name.includes('manifest')),
  'path/to/repo:*': all.filter((name) => !/below|elsewhere/.test(name)),
  'path/to/repo:push': ['push of a tag', 'push of a manifest', 'push of another tag'],
  'path/to/repo:myTag:*': ['push of a tag', 'deletion of a tag'],
  'path/to/repo:push:delete': [],
  [`path/to/repo@${A}:delete`]: ['deletion of a manifest'],
  [`path/to/repo@${A}:*`]: ['push of a manifest', 'deletion of a manifest'],
  [`path/to/repo:myTag@${A}:push`]: ['push of a tag'],
  [`path/to/repo:other@${A}:push`]: [],
  [`*:*@${B}:*`]: ['push of another tag', 'deletion elsewhere'],
  'path/to/repo/*:push': ['push below'],
  'path/*:delete': ['deletion of a tag', 'deletion of a manifest'],
  'path/to/rep:*': [],
  'path/to/repo/*:mytag:*': [],
};

for (const [pattern, selected] of Object.entries(table)) {
  test(`${pattern.replace(/:[ab]{60,}/, ':…')} selects ${selected.join(', ') || 'none of them'}`, () => {
    assert.ok(readNotificationPattern(pattern));
    const found = all.filter((name) => selects([pattern], events[name]!));
    assert.deepEqual(found, selected);
  });
}

test('any of several patterns selects; none and no patterns select nothing', () => {
  const event = events['push of a tag']!;
  assert.ok(selects(['else:*', '*:myTag:push'], event));
  assert.ok(!selects(['else:*'], event));
  assert.ok(!selects([], event));
  assert.ok(!selects(['not a pattern'], event));
});

test('invalid patterns are rejected', () => {
  const wrong = [
    '',
    ':',
    ':push',
    '*',
    'repo',
    'repo:pull',
    'repo:PUSH',
    'repo:a:b:push',
    'Repo:push',
    're*po:push',
    '*/repo:push',
    'repo/*/x:push',
    'repo:my*:push',
    'repo::push',
    'repo@:push',
    'repo@sha256:abc:push',
    `repo@${A}`,
    `repo@${A}@${A}:push`,
    `repo@${A}:tag:push`,
    'repo :push',
    '/repo:push',
  ];
  for (const text of wrong) assert.equal(readNotificationPattern(text), undefined, text);
});

test('patterns made of random parts select the same events as a comparison part by part', (t) => {
  const seed = Number(process.env.TERRACE_SEED ?? Date.now() % 100_000);
  t.diagnostic(`TERRACE_SEED=${seed}`);
  const next = random(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
  const names = ['a', 'a/b', 'a/bc', 'ab', 'a/b/c', 'push'];
  const tags = ['push', 'delete', 'v1', 'V1', undefined];
  const digests = [A, B];
  for (let round = 0; round < 20_000; round += 1) {
    const name = pick([...names, '*', ...names.map((each) => `${each}/*`)]);
    const tag = pick([...tags, '*']);
    const digest = pick([...digests, '*', undefined, undefined]);
    const action = pick(['push', 'delete', '*'] as const);
    const text = `${name}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}:${action}`;
    const event: Artifact = {
      name: pick(names),
      tag: pick(tags),
      digest: pick(digests),
      action: pick(['push', 'delete']),
    };
    // The event as one line, compared with one regular expression.
    const line = `${event.name} ${event.tag ?? ''} ${event.digest} ${event.action}`;
    const parts = [
      name === '*' ? '\\S+' : name.replace(/\/\*$/, '/\\S+'),
      tag === undefined ? (digest === undefined ? '\\S*' : '') : tag === '*' ? '\\S+' : tag,
      digest === undefined || digest === '*' ? '\\S+' : digest,
      action === '*' ? '\\S+' : action,
    ];
    const expected = new RegExp(`^${parts.join(' ')}$`).test(line);
    assert.equal(selects([text], event), expected, `${text} and ${line}`);
  }
});
