import { equal, match, notEqual } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, test } from 'node:test';
import { commitBlob, startUpload } from '#proto/content/ingests.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { GatewayRig, sha256, sha512 } from '../gateway-rig.ts';
import { check } from '../rows.ts';

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());

const bytes = randomBytes(300_000);
const digest = sha256(bytes);
const blob = (repository: string, name = digest) => `/v2/${repository}/blobs/${name}`;
const ingests = async () => (await layer.bus.call(storageStatus, {})).ingests.length;

test('POST starts an upload and answers with its location', async () => {
  const response = await check(layer, {
    send: ['POST', '/v2/a/b/blobs/uploads/'],
    status: 202,
    expectedHeaders: {
      location: /^\/v2\/a\/b\/blobs\/uploads\/[\w-]+$/,
      range: '0-0',
      'content-length': '0',
    },
  });
  match(response.headers.get('location') ?? '', new RegExp(`${response.headers.get('docker-upload-uuid')}$`));
});

test('POST, a streamed PATCH and PUT store a blob', async () => {
  const location = await layer.upload('a/b');
  await check(layer, {
    send: ['PATCH', location],
    body: bytes,
    status: 202,
    expectedHeaders: { location, range: '0-299999' },
  });
  equal(layer.gateway.hashes.size, 1);
  const done = { location: blob('a/b'), 'docker-content-digest': digest, 'content-length': '0' };
  await check(layer, { send: ['PUT', `${location}?digest=${digest}`], status: 201, expectedHeaders: done });
  await check(layer, { send: ['GET', blob('a/b')], status: 200, text: bytes });
  equal(layer.gateway.hashes.size, 0);
  await check(layer, { send: ['GET', location], status: 404, code: 'BLOB_UPLOAD_UNKNOWN' });
});

test('POST and PUT with the full body store a blob', async () => {
  const location = await layer.upload('put');
  await check(layer, { send: ['PUT', `${location}?digest=${digest}`], body: bytes, status: 201 });
  await check(layer, { send: ['GET', blob('put')], status: 200, text: bytes });
});

for (const [algorithm, name] of [
  ['sha256', digest],
  ['sha512', sha512(bytes)],
] as const) {
  test(`POST with a ${algorithm} digest and the body stores a blob`, async () => {
    await check(layer, {
      send: ['POST', `/v2/one/blobs/uploads/?digest=${encodeURIComponent(name)}`],
      body: bytes,
      status: 201,
      expectedHeaders: { location: blob('one', name), 'docker-content-digest': name },
    });
    await check(layer, { send: ['GET', blob('one', name)], status: 200, text: bytes });
  });

  test(`chunks in order store a blob with a ${algorithm} digest`, async () => {
    const location = await layer.upload(algorithm);
    const cut = [0, 100_000, 100_001, 250_000];
    for (const [index, first] of cut.entries()) {
      const end = cut[index + 1];
      if (end === undefined) continue;
      await check(layer, {
        send: ['PATCH', location],
        headers: { 'content-range': `${first}-${end - 1}` },
        body: bytes.subarray(first, end),
        status: 202,
        expectedHeaders: { range: `0-${end - 1}`, location },
      });
      await check(layer, {
        send: ['GET', location],
        status: 204,
        expectedHeaders: { range: `0-${end - 1}`, location },
      });
    }
    await check(layer, {
      send: ['PUT', `${location}?digest=${name}`],
      headers: { 'content-range': '250000-299999' },
      body: bytes.subarray(250_000),
      status: 201,
    });
    await check(layer, { send: ['GET', blob(algorithm, name)], status: 200, text: bytes });
  });
}

test('an empty blob is stored', async () => {
  const location = await layer.upload('empty');
  await check(layer, { send: ['PUT', `${location}?digest=${sha256('')}`], status: 201 });
  await check(layer, { send: ['GET', blob('empty', sha256(''))], status: 200, text: '' });
});

test('PATCH with a stale offset answers 416 and the current range, and changes nothing', async () => {
  const location = await layer.upload('stale');
  await layer.fetch('PATCH', location, { body: bytes.subarray(0, 1_000) });
  for (const range of ['0-999', '500-1499', '1001-2000', '999-1998']) {
    const size = Number(range.split('-')[1]) - Number(range.split('-')[0]) + 1;
    await check(layer, {
      send: ['PATCH', location],
      headers: { 'content-range': range },
      body: bytes.subarray(0, size),
      status: 416,
      code: 'SIZE_INVALID',
      expectedHeaders: { range: '0-999', location },
    });
  }
  await check(layer, {
    send: ['PUT', `${location}?digest=${digest}`],
    headers: { 'content-range': '5-6' },
    body: 'xx',
    status: 416,
    expectedHeaders: { range: '0-999' },
  });
  await check(layer, {
    send: ['PATCH', location],
    body: bytes.subarray(1_000),
    status: 202,
    expectedHeaders: { range: '0-299999' },
  });
  await check(layer, { send: ['PUT', `${location}?digest=${digest}`], status: 201 });
});

test('a Content-Range that does not fit the body answers 400', async () => {
  const location = await layer.upload('fit');
  const bad = { headers: { 'content-range': '0-9' }, body: 'x', status: 400, code: 'SIZE_INVALID' };
  await check(layer, { send: ['PATCH', location], ...bad });
  const none = { headers: { 'content-range': 'all' }, body: 'x', status: 400, code: 'BLOB_UPLOAD_INVALID' };
  await check(layer, { send: ['PATCH', location], ...none });
  await check(layer, { send: ['GET', location], status: 204, expectedHeaders: { range: '0-0' } });
});

test('PUT with a wrong digest answers 400, stores nothing and ends the upload', async () => {
  const before = await ingests();
  const location = await layer.upload('wrong');
  const other = sha256('other');
  await check(layer, {
    send: ['PUT', `${location}?digest=${other}`],
    body: bytes,
    status: 400,
    code: 'DIGEST_INVALID',
  });
  await check(layer, { send: ['HEAD', blob('wrong', other)], status: 404 });
  await check(layer, { send: ['GET', location], status: 404, code: 'BLOB_UPLOAD_UNKNOWN' });
  const post = `/v2/wrong/blobs/uploads/?digest=${other}`;
  await check(layer, { send: ['POST', post], body: bytes, status: 400, code: 'DIGEST_INVALID' });
  equal(await ingests(), before);
  equal(layer.gateway.hashes.size, 0);
});

test('an invalid digest answers 400 and leaves the upload open', async () => {
  const location = await layer.upload('none');
  for (const query of [
    '',
    '?digest=',
    '?digest=sha256:abc',
    '?digest=md5:d41d8cd98f00b204e9800998ecf8427e',
  ]) {
    await check(layer, {
      send: ['PUT', `${location}${query}`],
      body: 'x',
      status: 400,
      code: 'DIGEST_INVALID',
    });
  }
  await check(layer, {
    send: ['POST', '/v2/none/blobs/uploads/?digest=x'],
    status: 400,
    code: 'DIGEST_INVALID',
  });
  await check(layer, { send: ['PUT', `${location}?digest=${digest}`], body: bytes, status: 201 });
});

test('DELETE ends an upload', async () => {
  const location = await layer.upload('deleted');
  await layer.fetch('PATCH', location, { body: 'x' });
  await check(layer, { send: ['DELETE', location], status: 204 });
  for (const method of ['GET', 'DELETE', 'PATCH']) {
    const body = method === 'PATCH' ? { body: 'x' } : {};
    await check(layer, { send: [method, location], ...body, status: 404, code: 'BLOB_UPLOAD_UNKNOWN' });
  }
  equal(layer.gateway.hashes.size, 0);
});

test('an upload is unknown in any other repository', async () => {
  const location = await layer.upload('mine');
  const elsewhere = location.replace('/mine/', '/yours/');
  await check(layer, { send: ['GET', elsewhere], status: 404 });
  await check(layer, { send: ['PUT', `${elsewhere}?digest=${digest}`], body: bytes, status: 404 });
  for (const id of ['upload-1', 'x', '..', '%2e%2e%2fdata', 'A', 'x'.repeat(500)]) {
    const { status } = await layer.fetch('GET', `/v2/mine/blobs/uploads/${id}`);
    equal(status >= 400 && status < 500, true, `${id}: ${status}`);
  }
});

test('POST mounts a blob of another repository', async () => {
  await layer.blob('from', bytes);
  const mount = `/v2/to/blobs/uploads/?mount=${digest}`;
  const done = { location: blob('to'), 'docker-content-digest': digest };
  await check(layer, { send: ['POST', `${mount}&from=from`], status: 201, expectedHeaders: done });
  await check(layer, { send: ['GET', blob('to')], status: 200, text: bytes });
});

test('POST without a source mounts a blob of any repository if the caller may read all', async () => {
  await layer.blob('from', bytes);
  const mount = `/v2/anywhere/blobs/uploads/?mount=${digest}`;
  await check(layer, { send: ['POST', mount], status: 201, expectedHeaders: { location: blob('anywhere') } });
  await check(layer, { send: ['GET', blob('anywhere')], status: 200, text: bytes });
});

for (const query of [
  `mount=${sha256('never')}`,
  `mount=${digest}&from=nowhere`,
  `mount=${digest}&from=NOT/valid`,
  `mount=${sha256('never')}&from=from`,
]) {
  test(`POST ?${query.replace(/[0-9a-f]{60}/, '…')} starts an upload instead`, async () => {
    const response = await check(layer, {
      send: ['POST', `/v2/fallback/blobs/uploads/?${query}`],
      status: 202,
    });
    notEqual(response.headers.get('location'), null);
    await check(layer, { send: ['HEAD', blob('fallback')], status: 404 });
  });
}

test('an upload that another process has claimed answers 429, and its status can be read', async () => {
  const held = await layer.bus.call(startUpload, { repository: 'held', by: 'another', hold: true });
  const location = `/v2/held/blobs/uploads/${held.id}`;
  const busy = { status: 429, code: 'TOOMANYREQUESTS', expectedHeaders: { 'retry-after': '1' } };
  await check(layer, { send: ['PATCH', location], body: 'x', ...busy });
  await check(layer, { send: ['PUT', `${location}?digest=${digest}`], body: 'x', ...busy });
  await check(layer, { send: ['GET', location], status: 204 });
});

test('storage receives the hash of an upload only if this process has hashed all of it', async () => {
  const hashes: unknown[] = [];
  const call = layer.bus.call.bind(layer.bus);
  layer.bus.call = (contract, query, options) => {
    if ((contract as unknown) === commitBlob) hashes.push((query as { hashed?: string }).hashed);
    return call(contract, query, options);
  };
  try {
    const first = await layer.upload('hashes');
    await layer.fetch('PATCH', first, { body: bytes.subarray(0, 7) });
    await check(layer, { send: ['PUT', `${first}?digest=${digest}`], body: bytes.subarray(7), status: 201 });
    const second = await layer.upload('hashes');
    await layer.fetch('PATCH', second, { body: bytes.subarray(0, 7) });
    layer.gateway.hashes.forget(second.split('/').at(-1)!);
    await check(layer, { send: ['PUT', `${second}?digest=${digest}`], body: bytes.subarray(7), status: 201 });
    equal(hashes.length, 2);
    equal(hashes[0], digest);
    equal(hashes[1], undefined);
  } finally {
    layer.bus.call = call;
  }
});
