import { after, before, test } from 'node:test';
import { SyncerRig } from '../syncer-rig.ts';
import { rows as answers } from './rows/upload-answers.ts';
import { rows as ways } from './rows/uploads.ts';
import { runUploadRow } from './upload-rig.ts';

/** What real registries answer to a layer that pushes to them: the rows of both tables, below one layer. */

let layer: SyncerRig;
before(async () => {
  layer = await SyncerRig.start('http://127.0.0.1:1', {}, ['one']);
});
after(() => layer[Symbol.asyncDispose]());

for (const [nth, row] of [...ways, ...answers].entries())
  test(`upload: ${row.name}`, () => runUploadRow(layer, row, nth));
