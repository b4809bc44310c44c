import { equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { fastify } from 'fastify';
import { Fault, faultCodes } from '#proto/contract/fault.ts';
import { answerError, httpErrors } from '../../../services/gateway/http/errors.ts';
import { quiet } from '../../support/bus.ts';

async function answer(error: unknown, method: 'GET' | 'HEAD' = 'GET') {
  const logged: object[] = [];
  const log = { ...quiet, error: (fields: object) => void logged.push(fields) };
  const app = fastify({ exposeHeadRoutes: false });
  app.setErrorHandler((thrown, request, reply) => answerError(thrown, request, reply, log));
  app.route({
    method,
    url: '/',
    handler: async () => {
      throw error;
    },
  });
  const response = await app.inject({ method, url: '/' });
  await app.close();
  return { ...response, logged, first: method === 'GET' ? response.json().errors[0] : undefined };
}

/** distribution-spec 1.1, "Error Codes" */
const LISTED = [
  // The connected registry's, for children.
  'ALREADY_ACTIVATED',
  ...[
    'BLOB_UNKNOWN',
    'BLOB_UPLOAD_INVALID',
    'BLOB_UPLOAD_UNKNOWN',
    'DIGEST_INVALID',
    'MANIFEST_BLOB_UNKNOWN',
  ],
  ...['MANIFEST_INVALID', 'MANIFEST_UNKNOWN', 'NAME_INVALID', 'NAME_UNKNOWN', 'SIZE_INVALID', 'UNAUTHORIZED'],
  ...['DENIED', 'UNSUPPORTED', 'TOOMANYREQUESTS'],
];

for (const code of faultCodes) {
  const { status, code: errorCode, retryAfter } = httpErrors[code];
  test(`the fault ${code} is answered ${status} ${errorCode}`, async () => {
    if (status < 500) ok(LISTED.includes(errorCode));
    match(errorCode, /^[A-Z_]+$/);
    const response = await answer(new Fault(code, 'a sentence', { detail: { offset: 5 } }));
    equal(response.statusCode, status);
    const expected =
      code === 'busy'
        ? { message: 'another request holds it: try again' }
        : { message: 'a sentence', detail: { offset: 5 } };
    equal(response.body, JSON.stringify({ errors: [{ code: errorCode, ...expected }] }));
    equal(response.headers['retry-after'], retryAfter === undefined ? undefined : String(retryAfter));
    match(String(response.headers['content-type']), /^application\/json/);
  });
}

test('an error that is not a Fault is logged, and the client gets no details of it', async () => {
  const response = await answer(new Error('secret /data/path'));
  equal(response.statusCode, 500);
  equal(response.body, '{"errors":[{"code":"UNKNOWN","message":"the registry failed: see its log"}]}');
  equal(response.logged.length, 1);
});

test('a failed HEAD is answered with the status and no body', async () => {
  const response = await answer(new Fault('blob-unknown', 'unknown'), 'HEAD');
  equal(response.statusCode, 404);
  equal(response.rawPayload.byteLength, 0);
});
