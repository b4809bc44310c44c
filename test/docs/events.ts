import { isDeepStrictEqual } from 'node:util';
import type { TSchema } from '@sinclair/typebox';
import { Envelope } from '#proto/contract/envelope.ts';
import { publishersOf } from './audience.ts';
import { ofKind } from './declared.ts';
import { code, page, sentence, table } from './markdown.ts';
import { propertiesOf, typeOf } from './schemas.ts';

/** docs/reference/events.md */

type Field = ReturnType<typeof propertiesOf>[number];
const events = ofKind('event').map((event) => ({
  type: event.message.type,
  noun: event.message.type.split('.')[0] as string,
  description: event.description,
  fields: propertiesOf(event.message.data),
  publishers: publishersOf(event).join(', '),
}));

const HEAD = ['Field', 'Type', 'Meaning'];

/** A row for the field, and one for each field of a mapping or list of mappings. */
function rowsOf([name, schema, optional]: Field): string[][] {
  const inner = schema.type === 'array' ? (schema.items as TSchema) : schema;
  const label = `${name}${schema.type === 'array' ? '[]' : ''}`;
  const within = propertiesOf(inner).map(
    ([field, one, isOptional]) => [`${label}.${field}`, one, isOptional] as Field,
  );
  return [
    [code(name), `${typeOf(schema)}${optional ? ', optional' : ''}`, schema.description ?? ''],
    ...within.flatMap(rowsOf),
  ];
}

function sectionOf(noun: string): string {
  const group = events.filter((event) => event.noun === noun);
  const [first] = group;
  const shared =
    group.length < 2
      ? []
      : (first?.fields ?? []).filter((field) =>
          group.every(({ fields }) => fields.some((other) => isDeepStrictEqual(other, field))),
        );
  const isOneOwner = group.every(({ publishers }) => publishers === first?.publishers);
  const parts = group.map(({ type, description, fields, publishers }) => {
    const own = fields.filter((field) => !shared.some(([name]) => name === field[0]));
    const rows = own.flatMap(rowsOf);
    const none = shared.length > 0 ? 'No other fields.' : 'No fields.';
    const text = isOneOwner ? description : `${sentence(description)} Published by ${publishers}`;
    return [`### ${type}`, sentence(text), rows.length > 0 ? table(HEAD, rows) : none].join('\n\n');
  });
  const subject =
    group.length > 1 ? `subjects ${code(`events.${noun}.*`)}` : `subject ${code(`events.${first?.type}`)}`;
  return [
    `## ${noun}`,
    `${isOneOwner ? `Published by ${first?.publishers}; ${subject}` : sentence(subject).slice(0, -1)}.${shared.length > 0 ? ' All of them have:' : ''}`,
    ...(shared.length > 0 ? [table(HEAD, shared.flatMap(rowsOf))] : []),
    ...parts,
  ].join('\n\n');
}

export function eventsPage(): string {
  const nouns = [...new Set(events.map(({ noun }) => noun))].sort();
  return page(
    'Events',
    'For operators and integrators: every event of a layer, with its fields and the service that publishes it.',
    'An event is stored in the stream of the layer for the time of `eventTtl`, and delivered as CloudEvents 1.0 in structured mode. `terrace events` prints them, webhooks and the layer above receive them (`notifications`). Events may be lost with the store of the bus, so nothing correct depends on them; one that arrives twice has the same `id`. A webhook gets `terrace.history.lost` in place of events that are no longer stored.',
    table(
      ['Attribute', 'Type', 'Meaning'],
      Object.entries(Envelope.properties).map(([name, schema]) => [
        code(name),
        `${typeOf(schema)}${((Envelope.required ?? []) as string[]).includes(name) ? '' : ', optional'}`,
        (schema as TSchema).description ?? '',
      ]),
    ),
    'The subject of an event of this layer is `events.<type>`; that of an event from a layer below begins with `below.`. See [messages](../design/messages.md) for who may subscribe to it.',
    ...nouns.map(sectionOf),
  );
}
