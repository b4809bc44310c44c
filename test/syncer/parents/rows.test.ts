import { type Row, testRows } from './parent-rig.ts';
import { rows as encodings } from './rows/encodings.ts';
import { rows as headers } from './rows/headers.ts';
import { rows as indexes } from './rows/indexes.ts';
import { rows as lists } from './rows/lists.ts';
import { rows as logins } from './rows/logins.ts';
import { rows as oddAnswers } from './rows/odd-answers.ts';
import { rows as otherRegistries } from './rows/other-registries.ts';
import { rows as referrers } from './rows/referrers.ts';
import { rows as repositories } from './rows/repositories.ts';
import { rows as severalPasses } from './rows/several-passes.ts';

/** What real registries answer to a layer that reads them: the rows of all tables, below one layer. */

const tables: Record<string, Row[]> = {
  encodings: encodings,
  headers: headers,
  indexes: indexes,
  lists: lists,
  logins: logins,
  'odd-answers': oddAnswers,
  'other-registries': otherRegistries,
  referrers: referrers,
  repositories: repositories,
  'several-passes': severalPasses,
};

testRows(
  Object.entries(tables).flatMap(([table, rows]) =>
    rows.map((row) => ({ ...row, name: `${table}: ${row.name}` })),
  ),
);
