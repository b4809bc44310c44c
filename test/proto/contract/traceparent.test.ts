import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check } from '#proto/contract/contract.ts';
import { parseTraceparent, Traceparent, traceIdOf } from '#proto/contract/traceparent.ts';

const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
const span = '00f067aa0ba902b7';
const own = `00-${trace}-${span}-01`;

const rows: [why: string, header: unknown, read: string | undefined][] = [
  ['as it is', own, own],
  ['not sampled', `00-${trace}-${span}-00`, `00-${trace}-${span}-00`],
  ['a later version', `cc-${trace}-${span}-01`, own],
  ['a later version with more', `cc-${trace}-${span}-01-what-follows`, own],
  ['version 00 has no more', `${own}-more`, undefined],
  ['version ff is not valid', `ff-${trace}-${span}-01`, undefined],
  ['trace of zeros', `00-${'0'.repeat(32)}-${span}-01`, undefined],
  ['span of zeros', `00-${trace}-${'0'.repeat(16)}-01`, undefined],
  ['upper case', own.toUpperCase(), undefined],
  ['short', own.slice(0, -1), undefined],
  ['long', `${own}0`, undefined],
  ['much too long', `cc-${trace}-${span}-01-${'x'.repeat(1_000)}`, undefined],
  ['space before', ` ${own}`, undefined],
  ['line feed after', `${own}\n`, undefined],
  ['twice', [own, own], undefined],
  ['joined', `${own}, ${own}`, undefined],
  ['empty', '', undefined],
  ['absent', undefined, undefined],
];

for (const [why, header, read] of rows) {
  test(`traceparent: ${why}`, () => {
    assert.equal(parseTraceparent(header), read);
    if (read !== undefined) assert.equal(check(Traceparent, read), read);
  });
}

test('the id of the trace', () => {
  assert.equal(traceIdOf(own), trace);
});
