import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { connect } from 'nats';
import { Calls } from '#proto/bus/calls.ts';
import { matches, mayAsk } from '#proto/bus/permissions.ts';
import { inboxOf, type UserName, userNames } from '#proto/contract/users.ts';
import { buckets, consumers, streams } from '#proto/jetstream/streams.ts';
import { TestBus } from '../../support/bus.ts';
import { declaredMessages } from '../../support/declared.ts';
import { CALLERS, inboxes, LETTERS, mayAnswer, mayPublish, SUBSCRIPTIONS } from './permission-tables.ts';

/**
 * Permissions of every user, for every declared subject and every call of JetStream's API, checked on a real
 * nats-server; with TERRACE_TEST_NATS_SERVER, the path of another nats-server, on that one too.
 */

const others = userNames.filter((user) => user !== 'storage');
const { requests, events, states, jobs } = await declaredMessages();

test('the table has every declared request and no others', () => {
  const subjects = requests.map(({ subject }) => subject).sort();
  assert.deepEqual(subjects, Object.keys(CALLERS).sort());
});

test('a service accepts exactly the requests that the table permits a user', () => {
  for (const [subject, letters] of Object.entries(CALLERS)) {
    for (const user of others) {
      assert.equal(mayAsk(user, subject), letters.includes(LETTERS[user]), `${user} ${subject}`);
    }
  }
});

test('subject patterns match as on the server', () => {
  for (const [pattern, subject, matching] of [
    ['a.b', 'a.b', true],
    ['a.b', 'a.b.c', false],
    ['a.*', 'a.b', true],
    ['a.*', 'a.b.c', false],
    ['a.*', 'a', false],
    ['a.>', 'a.b.c', true],
    ['a.>', 'a', false],
    ['*.b', 'a.b', true],
    ['a.b.c', 'a.b', false],
  ] as const) {
    assert.equal(matches(pattern, subject), matching, `${pattern} ${subject}`);
  }
});

/** All subjects that JetStream answers or stores, with those of a stream and a consumer that are not in the table. */
function jetStreamSubjects(): string[] {
  const names = [
    ...Object.values(streams).map(({ name }) => name),
    ...Object.keys(buckets).map((bucket) => `KV_${bucket}`),
    'COPY',
  ];
  const calls = names.flatMap((stream) => [
    ...['CREATE', 'UPDATE', 'INFO', 'DELETE', 'PURGE', 'SNAPSHOT', 'RESTORE'].map(
      (verb) => `STREAM.${verb}.${stream}`,
    ),
    `STREAM.MSG.GET.${stream}`,
    `STREAM.MSG.DELETE.${stream}`,
    `STREAM.PEER.REMOVE.${stream}`,
    `STREAM.LEADER.STEPDOWN.${stream}`,
    `DIRECT.GET.${stream}`,
    `DIRECT.GET.${stream}.events.tag.moved`,
    `CONSUMER.CREATE.${stream}`,
    `CONSUMER.NAMES.${stream}`,
    `CONSUMER.LIST.${stream}`,
    ...[...Object.keys(consumers), 'mine'].flatMap((consumer) => [
      ...[
        'CREATE',
        'DURABLE.CREATE',
        'INFO',
        'DELETE',
        'MSG.NEXT',
        'PAUSE',
        'UNPIN',
        'RESET',
        'LEADER.STEPDOWN',
      ].map((verb) => `CONSUMER.${verb}.${stream}.${consumer}`),
      `CONSUMER.CREATE.${stream}.${consumer}.events.>`,
    ]),
  ]);
  const general = [
    'INFO',
    'STREAM.NAMES',
    'STREAM.LIST',
    'STREAM.TEMPLATE.CREATE.x',
    'STREAM.TEMPLATE.NAMES',
  ];
  const admin = [
    'ACCOUNT.PURGE.$G',
    'ACCOUNT.STREAM.MOVE.$G.EVENTS',
    'SERVER.REMOVE',
    'META.LEADER.STEPDOWN',
  ];
  const acks = names.flatMap((stream) => [
    `$JS.ACK.${stream}.down.1.1.1.1.0`,
    `$JS.ACK.${stream}.mine.1.1.1.1.0`,
  ]);
  return [
    ...[...calls, ...general, ...admin].map((call) => `$JS.API.${call}`),
    ...acks,
    '$JS.FC.EVENTS.x',
    '$JSC.R.x',
  ];
}

const stored = [
  ...events.map(({ type }) => `events.${type.replace('>', 'any')}`),
  'below.child.tag.moved',
  ...jobs.map(({ subject }) => subject),
  ...states.map(({ bucket }) => `$KV.${bucket}.layer`),
];
const system = [
  '$SYS.REQ.SERVER.PING',
  '$SYS.REQ.ACCOUNT.$G.CONNZ',
  '$SYS.REQ.USER.INFO',
  '_INBOX.x',
  '_R_.x',
];
const invalidations = events.filter(({ immediate }) => immediate).map(({ type }) => `now.${type}`);

const publishes = [
  ...Object.keys(CALLERS),
  ...events.map(({ type }) => `storage.append.events.${type.replace('>', 'any')}`),
  'storage.append.below.child.tag.moved',
  'storage.append.jobs.transfer.down',
  'storage.append.$KV.configuration.layer',
  'storage.append.$JS.API.STREAM.CREATE.COPY',
  ...stored,
  ...jetStreamSubjects(),
  ...inboxes,
  ...system,
  ...invalidations,
];

const patterns = [
  '>',
  '*.>',
  '*',
  '_INBOX.>',
  ...userNames.map((user) => `${inboxOf(user)}.>`),
  ...[
    'storage',
    'syncer',
    'twin-bridge',
    'gateway',
    'jobs',
    'events',
    'below',
    'now',
    '$JS',
    '$SYS',
    '_R_',
  ].map((first) => `${first}.>`),
  ...Object.keys(buckets).map((bucket) => `$KV.${bucket}.>`),
  '$JS.EVENT.ADVISORY.>',
];

/** Publications and subscriptions of a user that the server refuses. */
async function refusals(
  server: TestBus,
  user: UserName,
): Promise<{ publications: string[]; subscriptions: string[] }> {
  const nc = await connect({
    servers: server.url,
    user,
    pass: `secret-of-${user}`,
    inboxPrefix: inboxOf(user),
  });
  const found = { publications: [] as string[], subscriptions: [] as string[] };
  const { promise, resolve } = Promise.withResolvers<void>();
  void (async () => {
    for await (const { type, permissionContext: context } of nc.status()) {
      if (type !== 'error' || !context) continue;
      // The server checks them in order: the last one is refused last.
      if (context.subject === LAST) resolve();
      else if (context.operation === 'publish') found.publications.push(context.subject);
      else found.subscriptions.push(context.subject);
    }
  })();
  for (const subject of publishes) nc.publish(subject);
  for (const subject of patterns) nc.subscribe(subject, { callback: () => {} });
  nc.publish(LAST);
  await promise;
  await nc.close();
  return found;
}
const LAST = 'not.permitted.to.any.user';

const SAME = { allowed: [], refused: [] };
const difference = (refused: string[], expected: string[]) => ({
  allowed: expected.filter((subject) => !refused.includes(subject)),
  refused: refused.filter((subject) => !expected.includes(subject)),
});

const programs = ['nats-server', process.env.TERRACE_TEST_NATS_SERVER].filter((name) => !!name);
for (const program of programs) {
  describe(`on ${program}`, () => {
    test('each user may publish and subscribe to the subjects of the tables and no others', async () => {
      await using server = await TestBus.start(program);
      for (const user of others) {
        const { publications, subscriptions } = await refusals(server, user);
        const refused = publishes.filter((subject) => !mayPublish(user, subject));
        assert.deepEqual(difference(publications, refused), SAME, user);
        const permitted = [...SUBSCRIPTIONS[user], `${inboxOf(user)}.>`];
        const forbidden = patterns.filter((subject) => !permitted.includes(subject));
        assert.deepEqual(difference(subscriptions, forbidden), SAME, user);
      }
    });

    test('storage may not administer other accounts or servers, and may send no requests', async () => {
      await using server = await TestBus.start(program);
      const { publications, subscriptions } = await refusals(server, 'storage');
      const permitted = [...SUBSCRIPTIONS.storage, `${inboxOf('storage')}.>`];
      const forbidden = patterns.filter((subject) => !permitted.includes(subject));
      assert.deepEqual(difference(subscriptions, forbidden), SAME);
      for (const subject of [
        ...requests.map(({ subject }) => subject),
        ...inboxes.filter((inbox) => !mayAnswer('storage', inbox)),
        ...publishes.filter((subject) =>
          /^\$SYS|ACCOUNT|SERVER|META|SNAPSHOT|RESTORE|TEMPLATE|^\$JSC|^\$JS\.FC/.test(subject),
        ),
      ]) {
        assert.ok(publications.includes(subject), `storage may publish ${subject}`);
      }
    });
  });
}

test('the configuration of the server does not use allow_responses', async () => {
  await using server = await TestBus.start();
  const text = await readFile(join(server.folder, 'nats.conf'), 'utf8');
  assert.doesNotMatch(text, /allow_responses/);
});

test("the ids of requests can't be guessed from one another", () => {
  const calls = new Calls<{ data: Uint8Array }>();
  const ids: string[] = [];
  for (let request = 0; request < 100; request += 1) {
    calls.open('storage.status.get', undefined, (id) => ids.push(id)).catch(() => {});
  }
  calls.close();
  assert.equal(new Set(ids.map((id) => id.slice(0, 13))).size, ids.length, ids.join(' '));
});
