import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { files } from '#proto/document/files.ts';
import { Authority } from '../../support/certificates.ts';

test('files named by a document are checked for readability and for certificates', async () => {
  await using authority = await Authority.create();
  const file = async (name: string, content: string | Buffer) => {
    const path = join(authority.folder, name);
    await writeFile(path, content);
    return path;
  };
  const pem = await readFile(authority.certificate, 'utf8');
  const key = join(authority.folder, 'ca.key');
  const absent = join(authority.folder, 'absent');
  assert.deepEqual([files.readable(key), files.readable(absent)], [true, false]);
  for (const path of [authority.certificate, await file('two', `# the plant's own\n${pem}\n${pem}`)]) {
    assert.equal(files.holdsCertificate(path), true, path);
  }
  const torn = pem.replace(/^(?=[A-Za-z])./gm, '');
  for (const path of [key, absent, await file('empty', ''), await file('torn', torn)]) {
    assert.equal(files.holdsCertificate(path), false, path);
  }
});
