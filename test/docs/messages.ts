import type { Event, Job, Request, State } from '#proto/contract/contract.ts';
import { type UserName, userNames } from '#proto/contract/users.ts';
import { onStates, submitJob, takeJob } from '#proto/jetstream/store-requests.ts';
import { buckets } from '#proto/jetstream/streams.ts';
import { publishersOf, receiversOf, sendersOf } from './audience.ts';
import { type Message, ofKind } from './declared.ts';
import { code, codes, page, table } from './markdown.ts';
import { shapeOf } from './schemas.ts';

/** docs/design/messages.md */

const others = userNames.filter((user) => user !== 'storage');
const users = (some: UserName[]): string =>
  some.length === userNames.length
    ? 'all'
    : others.every((user) => some.includes(user))
      ? 'all but storage'
      : some.join(', ');
const shape = (text: string): string => (text === '' ? '–' : text);

const ofBuckets = new Set<Request>(Object.values(onStates).flatMap((each) => Object.values(each)));
const requests = ofKind('request').filter(({ message }) => !ofBuckets.has(message));

/** Sections by file, each with its rows. */
function byFile<T extends Request>(
  some: Message<T>[],
  rowOf: (message: Message<T>) => string[],
  head: string[],
) {
  return [...new Set(some.map(({ file }) => file))].map((file) => {
    const rows = some.filter((one) => one.file === file).map(rowOf);
    return [`#### [${file}](../../${file})`, table(head, rows)].join('\n\n');
  });
}

const requestRow = ({ message: { subject, query, reply }, faults }: Message<Request>): string[] => [
  code(subject),
  users(sendersOf(subject)),
  faults.join(', '),
  `${shape(shapeOf(query))} → ${shape(shapeOf(reply))}`,
];

function requestsOf(owner: string): string[] {
  const own = requests.filter(({ message }) => message.subject.startsWith(`${owner}.`));
  return [
    `### Served by ${owner}`,
    ...byFile(own, requestRow, ['Subject', 'May send', 'Faults', 'Query → answer']),
  ];
}

/** `get` and `list` read, `put`, `swap` and `remove` write. */
const bucketUsers = (bucket: string, verb: string): string =>
  users(sendersOf(`storage.state.${bucket}.${verb}`));

const expiry = (bucket: keyof typeof buckets): string => {
  const { storage, ttlMs } = buckets[bucket];
  return `${storage}${ttlMs > 0 ? `, ${ttlMs / 1_000} s` : ''}`;
};

const stateRow = ({ message: { bucket, value }, name }: Message<State>): string[] => [
  code(bucket),
  code(name),
  expiry(bucket as keyof typeof buckets),
  bucketUsers(bucket, 'put'),
  bucketUsers(bucket, 'get'),
  users(receiversOf(`$KV.${bucket}.key`)),
  shapeOf(value, 0),
];

const jobRow = ({ message: { subject, body } }: Message<Job>): string[] => [
  code(subject),
  users(sendersOf(submitJob.subject)),
  users(sendersOf(takeJob.subject)),
  shapeOf(body),
];

const eventRow = (event: Message<Event>): string[] => {
  const { type, data, immediate } = event.message;
  return [
    code(`events.${type}`),
    publishersOf(event).join(', '),
    users(receiversOf(`events.${type}`)),
    immediate ? users(receiversOf(`now.${type}`)) : '',
    shape(shapeOf(data, 0)),
  ];
};

export function messagesPage(): string {
  const owners = [...new Set(requests.map(({ message }) => message.subject.split('.')[0] as string))];
  return page(
    'Messages',
    'For contributors: every message on the bus, which service serves or owns it, who may send it, and who may receive it.',
    'A message is declared once, in `proto/`, with its subject, its schema and its static type ([contract.ts](../../proto/contract/contract.ts)). Its kind says how it fails. Values are msgpack, checked when they are sent and when they are received. Users of the bus are the four services, `operator` (the `terrace` command) and `monitor` (programs that only read); the server enforces the permissions of each ([permissions.ts](../../proto/bus/permissions.ts)). In the schemas below, `?` marks an optional field, `[]` a list and `{…}` a mapping; the declarations have types and bounds.',
    '## Requests',
    'One question, one answer. The first word of the subject is the service that answers. Every request may also end with `malformed`, `denied` (the user may not send it), `unavailable` and `internal`; the faults below are the declared ones ([faults](../reference/faults.md)).',
    ...owners.flatMap(requestsOf),
    '### States and events in storage',
    `Only storage reaches JetStream. Other users read and write states by the requests \`storage.state.<bucket>.<verb>\` (${codes(Object.keys(onStates.link))}), and have events stored by \`storage.append.events.<type>\` or \`storage.append.below.<path>\`. Who may send these is in the tables of states and events.`,
    '## Jobs',
    'Entries of a work queue, redelivered until a worker confirms them. Storage keeps the queue; the syncers do the work.',
    table(['Subject', 'May submit', 'May take', 'Body'], ofKind('job').map(jobRow)),
    '## Events',
    'Past tense; anyone with the permission may subscribe and replay. *At once*: who also receives the event as an invalidation, before the request that caused it is answered. The fields are described in [events](../reference/events.md).',
    table(['Subject', 'Published by', 'May subscribe', 'At once', 'Data'], ofKind('event').map(eventRow)),
    '## States',
    'Last value by key, in a bucket of storage: in a file or in memory, and with the time after which an entry expires unless it is written again. Storage itself may write all of them.',
    table(
      ['Bucket', 'Declaration', 'Kept', 'May write', 'May read', 'May watch', 'Value'],
      ofKind('state').map(stateRow),
    ),
  );
}
