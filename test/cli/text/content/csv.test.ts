import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { csvRow } from '../../../../cli/text/content/csv.ts';

test('cells are quoted as RFC 4180 says, and none begins a formula or a second line', () => {
  for (const [cells, row] of [
    [['a', 1, ''], 'a,1,'],
    [['a,b', 'say "x"'], '"a,b","say ""x"""'],
    [['=1+1', '+1', '-1', '@x'], "'=1+1,'+1,'-1,'@x"],
    [['=HYPERLINK("http://x","y")'], `"'=HYPERLINK(""http://x"",""y"")"`],
    [['\t=1', ' =1', '\r\n-1'], "' =1,' =1,' -1"],
    [['a\nb', 'a\u202eb'], 'a b,a b'],
    [[-1], '-1'],
  ] as const)
    equal(csvRow(cells), `${row}\r\n`);
});
