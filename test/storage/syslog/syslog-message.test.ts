import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readLine } from '../../../services/storage/audit/audit-line.ts';
import {
  framed,
  lossMessage,
  MAX_MESSAGE_BYTES,
  syslogMessage,
} from '../../../services/storage/syslog/syslog-message.ts';

/** Messages of RFC 5424, without any connection. */

const origin = { facility: 13, host: 'plant-7', process: '4711' };
const entry = {
  time: '2030-01-01T00:00:00.000Z',
  id: '12-a1b2c3',
  layer: 'line-7',
  account: 'ci',
  action: 'content/write',
  outcome: 'written',
};
const messageOf = (fields: object, from = origin) =>
  syslogMessage(readLine(JSON.stringify({ ...entry, ...fields })), from).toString();
const head = '<109>1 2030-01-01T00:00:00.000Z plant-7 terrace 4711';
const data = 'id="12-a1b2c3" layer="line-7" account="ci" action="content/write" outcome="written"';

test('an entry is one message with its fields as structured data, and a sentence', () => {
  const where = { address: '10.0.0.7', method: 'PUT', status: 201, repository: 'line/app', reference: '2' };
  assert.equal(
    messageOf(where),
    `${head} content/write [terrace@32473 ${data} address="10.0.0.7" method="PUT" status="201" repository="line/app" reference="2"] content/write written by ci from 10.0.0.7: line/app:2`,
  );
});

test('the header has the priority of facility and outcome, and - for what is missing or not allowed', () => {
  const rows: [fields: object, from: Partial<typeof origin>, header: string][] = [
    [{}, {}, '<109>1 2030-01-01T00:00:00.000Z plant-7 terrace 4711 content/write '],
    [{ outcome: 'refused' }, {}, '<108>1 2030-01-01T00:00:00.000Z plant-7 terrace 4711 content/write '],
    [{ outcome: 'failed' }, {}, '<108>1 2030-01-01T00:00:00.000Z plant-7 terrace 4711 content/write '],
    [
      { outcome: 'done' },
      { facility: 0 },
      '<5>1 2030-01-01T00:00:00.000Z plant-7 terrace 4711 content/write ',
    ],
    [{}, { facility: 23 }, '<189>1 2030-01-01T00:00:00.000Z plant-7 terrace 4711 content/write '],
    [{ time: '+275760-09-13T00:00:00.000Z' }, {}, '<109>1 - plant-7 terrace 4711 content/write '],
    [{ time: undefined }, {}, '<109>1 - plant-7 terrace 4711 content/write '],
    [{}, { host: '' }, '<109>1 2030-01-01T00:00:00.000Z - terrace 4711 content/write '],
    [{}, { host: 'a b\u00e4c' }, '<109>1 2030-01-01T00:00:00.000Z abc terrace 4711 content/write '],
    [
      {},
      { host: 'h'.repeat(300) },
      `<109>1 2030-01-01T00:00:00.000Z ${'h'.repeat(255)} terrace 4711 content/write `,
    ],
    [
      {},
      { process: 'p'.repeat(200) },
      `<109>1 2030-01-01T00:00:00.000Z plant-7 terrace ${'p'.repeat(128)} content/write `,
    ],
    [{ action: undefined }, {}, '<109>1 2030-01-01T00:00:00.000Z plant-7 terrace 4711 - '],
    [
      { action: `a/${'b'.repeat(38)}` },
      {},
      `<109>1 2030-01-01T00:00:00.000Z plant-7 terrace 4711 a/${'b'.repeat(30)} `,
    ],
  ];
  for (const [fields, from, header] of rows) {
    const message = messageOf(fields, { ...origin, ...from });
    assert.ok(message.startsWith(`${header}[terrace@32473 `), message);
  }
});

test('values of parameters are escaped and visible (RFC 5424, 6.3.3)', () => {
  const rows: [value: unknown, written: string[]][] = [
    ['a"b', ['a\\"b']],
    ['a\\b', ['a\\\\b']],
    ['a]b', ['a\\]b']],
    ['a[b=c d', ['a[b=c d']],
    ['', ['']],
    ['zoë ☃ 𝄞', ['zoë ☃ 𝄞']],
    ['\u001b[2J\n\u202e', ['\\\\u{1b}[2J\\\\u{a}\\\\u{202e}']],
    ['\ud800x', ['\ufffdx']],
    [42, ['42']],
    [false, ['false']],
    [
      ['a', 'b"'],
      ['a', 'b\\"'],
    ],
    [[], []],
    [{ a: 1 }, ['{\\"a\\":1}']],
  ];
  for (const [value, written] of rows) {
    const message = messageOf({ x: value });
    const params = written.map((one) => ` x="${one}"`).join('');
    assert.ok(message.includes(`[terrace@32473 ${data}${params}] `), `${JSON.stringify(value)}: ${message}`);
  }
});

test('names of parameters have the characters and the length of an SD-NAME; fields of detail are named so', () => {
  const detail = { password: 'password1', actions: ['a', 'b'], ['n'.repeat(40)]: 1 };
  assert.ok(
    messageOf({ detail, 'a b="]ä': 1 }).includes(
      ` ab="1" detail.password="password1" detail.actions="a" detail.actions="b" detail.${'n'.repeat(25)}="1"] `,
    ),
  );
});

test('a sentence that is not ASCII begins with the byte order mark, another one does not (RFC 5424, 6.4)', () => {
  assert.ok(messageOf({ reason: 'schön' }).endsWith('] \ufeffcontent/write written by ci; schön'));
  assert.ok(messageOf({ reason: 'fine' }).endsWith('] content/write written by ci; fine'));
});

test('the sentence names who, what and where', () => {
  const rows: [fields: object, sentence: string][] = [
    [{ account: '_operator', person: 'jo', subject: 'ci' }, 'content/write written by _operator (jo): ci'],
    [{ account: undefined, outcome: 'refused', count: 7 }, 'content/write refused; 7 times'],
    [{ repository: 'a', reference: 'sha256:12' }, 'content/write written by ci: a@sha256:12'],
    [{ repository: 'a' }, 'content/write written by ci: a'],
    [{ digest: 'sha256:12' }, 'content/write written by ci: sha256:12'],
    [{ child: 'line-8' }, 'content/write written by ci: line-8'],
  ];
  for (const [fields, sentence] of rows) assert.ok(messageOf(fields).endsWith(`] ${sentence}`), sentence);
});

test('a message is bounded, whole in its form, and names the fields that are cut', () => {
  const rows: [fields: object, cut: string | undefined][] = [
    [{ reason: 'r'.repeat(1_024) }, undefined],
    [{ reason: 'r'.repeat(1_025) }, 'reason'],
    [{ reason: '☃'.repeat(400) }, 'reason'],
    [{ reason: '"'.repeat(1_024) }, undefined],
    [{ detail: { actions: Array.from({ length: 21 }, (_, n) => `a${n}`) } }, 'detail.actions'],
    [{ detail: { actions: Array.from({ length: 20 }, () => '"'.repeat(1_000)) } }, 'detail.actions'],
    [Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`field${n}`, '𝄞'.repeat(500)])), undefined],
  ];
  for (const [index, [fields, cut]] of rows.entries()) {
    const bytes = Buffer.from(messageOf(fields));
    const message = bytes.toString();
    assert.ok(bytes.byteLength <= MAX_MESSAGE_BYTES, `${index}: ${bytes.byteLength}`);
    assert.match(
      message,
      /^<109>1 \S+ \S+ terrace \S+ \S+ \[terrace@32473(?: [!-<>-~]{1,32}="(?:[^"\\\]]|\\["\\\]])*")+\] /,
    );
    assert.doesNotMatch(message, /\ufffd/);
    if (cut !== undefined) assert.match(message, new RegExp(` cut="${cut}"\\] `));
    else if (index < 6) assert.doesNotMatch(message, / cut="/);
  }
});

test('a damaged line is sent as it is, with an id that is the same each time', () => {
  const line = '{"time":"2030-01-01T00:00:00.000Z","id":"13-a1';
  const message = syslogMessage(readLine(line), origin).toString();
  const [, id] = / id="([0-9a-f]{16})" /.exec(message) ?? [];
  assert.equal(
    message,
    `<108>1 - plant-7 terrace 4711 damaged [terrace@32473 id="${id}" damaged="true"] damaged line of the audit log: ${line}`,
  );
  assert.equal(syslogMessage(readLine(line), origin).toString(), message);
});

test('missing entries have a message of their own', () => {
  const at = Date.UTC(2030, 0, 1);
  assert.equal(
    lossMessage({ count: 7, at, layer: 'line-7' }, origin).toString(),
    `<108>1 2030-01-01T00:00:00.000Z plant-7 terrace 4711 audit/lost [terrace@32473 id="lost-${at}-7" layer="line-7" lost="7"] 7 audit entries are missing here: the audit log overran while this receiver was away`,
  );
});

test('a frame is the number of bytes, a space and the message (RFC 5425, 4.3)', () => {
  assert.equal(framed(Buffer.from('☃a')).toString(), '4 ☃a');
});
