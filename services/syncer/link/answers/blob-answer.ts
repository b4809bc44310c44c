import { Fault } from '#proto/contract/fault.ts';
import type { Digest } from '#proto/oci/names.ts';
import { plainMediaType } from '#proto/oci/read-manifest.ts';
import type { ParentRepository } from '#proto/oci/repository-names.ts';
import { refusal } from './answers.ts';
import { type Answer, type Body, firstValue, guarded, readErrorBody } from './bodies.ts';
import { type EncodedBodies, isDecodable } from './encoded-body.ts';
import type { Extent } from './extents.ts';

/**
 * The bytes of a blob from `start` on. `ranged`: the parent honoured the requested range. `end`: set if the body is
 * known to end before that range does, because the parent has no more bytes yet.
 */
export type BlobAnswer = { start: number; ranged: boolean; body: Body; end?: number };

export type Asked = { repository: ParentRepository; digest: Digest; size: number; extent: Extent };

/**
 * Checks the answer to a ranged GET of a blob.
 * @param encoded absent where no proxy may compress the body
 * @throws Fault `blob-unknown`, `parent-invalid` (another range or size), `parent-unreachable` (the answer of an
 * intermediary); see also `refusal`
 */
export async function blobAnswer(
  answer: Answer,
  { repository, digest, size, extent }: Asked,
  encoded?: EncodedBodies,
): Promise<BlobAnswer> {
  const what = `GET /v2/${repository}/blobs/${digest}`;
  const range = `bytes=${extent.start}-${extent.end - 1}`;
  const { body } = answer;
  const { statusCode } = answer;
  const header = firstValue(answer.headers['content-encoding']);
  const length = Number(firstValue(answer.headers['content-length']) ?? Number.NaN);
  const content = (size: number) => {
    const received = guarded(answer);
    return (
      encoded?.read(received, { ...(header !== undefined && { header }), length, size, digest }) ?? received
    );
  };
  const contentRange = firstValue(answer.headers['content-range']) ?? '';
  const given = RANGE.exec(contentRange);
  // Without a range, the length says which part of the blob it is.
  const isAll = statusCode === 206 && !given && length === size;
  // A proxy answers with 203: the digest decides whether the content is the parent's.
  if (statusCode === 200 || statusCode === 203 || isAll) {
    const page = /^text\/html\b/i.test(firstValue(answer.headers['content-type']) ?? '');
    if (
      length === size ||
      (!page && (Number.isNaN(length) || (encoded !== undefined && isDecodable(header))))
    ) {
      return { start: 0, ranged: false, body: content(size) };
    }
    body.destroy();
    if (!Number.isNaN(length) && isBlob(answer, digest)) {
      throw new Fault(
        'parent-invalid',
        `${what}: the blob has ${length} bytes, not ${size} as its manifest says`,
      );
    }
    // An intermediary answered in the parent's place: a captive portal, or a gateway with its error page.
    const received = Number.isNaN(length) ? 'an HTML page' : `${length} bytes`;
    throw new Fault(
      'parent-unreachable',
      `${what}: received ${received} instead of the ${size} bytes of the blob`,
    );
  }
  if (statusCode === 206) {
    const asked = extent.end - extent.start;
    const [, start, end, total = '*'] = given ?? [];
    const isExpected = given
      ? Number(start) === extent.start &&
        Number(end) < extent.end &&
        (total === '*' || Number(total) === size)
      : length === asked;
    const received = given ? Number(end) - Number(start) + 1 : asked;
    if (isExpected) return { start: extent.start, ranged: true, body: content(received) };
    body.destroy();
    throw new Fault(
      'parent-invalid',
      `${answer.own ? `the parent answered ${JSON.stringify(contentRange.slice(0, 100))}` : 'received another range'} for ${range} of ${digest}, which has ${size} bytes`,
    );
  }
  const reason = await readErrorBody(answer);
  if (statusCode === 404)
    throw new Fault('blob-unknown', `the parent has no blob ${digest} in ${repository}`);
  if (statusCode === 416) {
    throw new Fault(
      'parent-invalid',
      `the parent has no ${range} of ${digest}, which should have ${size} bytes`,
    );
  }
  throw refusal(statusCode, answer.headers, reason, what);
}

/** `Content-Range`, also as some servers write it: without a unit or a total. */
const RANGE = /^(?:bytes[ =])?\s*(\d+)-(\d+)(?:\/(\d+|\*))?$/i;

/** Whether the answer is the blob, with another size than expected, rather than the page of an intermediary. */
function isBlob({ headers }: Answer, digest: Digest): boolean {
  const type = plainMediaType(firstValue(headers['content-type']));
  return firstValue(headers['docker-content-digest']) === digest || type === 'application/octet-stream';
}
