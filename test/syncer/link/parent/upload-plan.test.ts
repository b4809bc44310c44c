import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import {
  ASSUMED_MIN,
  afterTaken,
  type BlobPlan,
  boundedBy,
  type FailedRequest,
  failureKind,
  initialPlan,
  MIN_REQUEST,
  type NextStep,
  nextStep,
} from '../../../../services/syncer/link/parent/upload-plan.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const SIZE = 20 * MIB;
const pieces = initialPlan('pieces');
const put: BlobPlan = { ...pieces, method: 'put' };
const patch: BlobPlan = { ...pieces, method: 'patch' };
const later: Omit<FailedRequest, 'kind'> = { status: 416, offset: MIB, bytes: 4 * MIB, isFinal: false };
const first = { ...later, offset: 0, bytes: MIN_REQUEST };
const end = { ...later, isFinal: true };
const all = { ...later, offset: 0, bytes: SIZE, isFinal: true };

type Case = [
  name: string,
  plan: BlobPlan,
  failed: FailedRequest,
  step: NextStep['step'],
  changes: Partial<BlobPlan> & { lasting?: boolean },
];

const table: Case[] = [
  [
    'a piece that is too large is halved',
    pieces,
    { kind: 'too-large', ...later },
    'repeat',
    { max: 2 * MIB },
  ],
  ['so is the last one', pieces, { kind: 'too-large', ...end }, 'repeat', { max: 2 * MIB }],
  [
    'not below 64 KiB',
    pieces,
    { kind: 'too-large', ...later, bytes: 100 * KIB },
    'repeat',
    { max: MIN_REQUEST },
  ],
  ['and not at 64 KiB', pieces, { kind: 'too-large', ...first }, 'give-up', { lasting: true }],
  [
    'if half of it is below the minimum, all is sent at once',
    { ...pieces, min: 3 * MIB },
    { kind: 'too-large', ...later },
    'restart',
    { method: 'put' },
  ],
  ['all at once is not halved', put, { kind: 'too-large', ...all }, 'give-up', { lasting: true }],
  [
    'a refused first piece is tried larger',
    pieces,
    { kind: 'refused', ...first },
    'repeat',
    { min: ASSUMED_MIN },
  ],
  [
    'once',
    { ...pieces, min: ASSUMED_MIN, refused: 1 },
    { kind: 'refused', ...first, bytes: ASSUMED_MIN },
    'restart',
    { method: 'put' },
  ],
  [
    'a refused later piece is tried at the size that was taken',
    { ...pieces, largest: MIB },
    { kind: 'refused', ...later },
    'repeat',
    { max: MIB, refused: 1 },
  ],
  [
    'once',
    { ...pieces, largest: MIB, refused: 1 },
    { kind: 'refused', ...later, bytes: MIB },
    'restart',
    { method: 'put' },
  ],
  [
    'a method that is not supported is not tried again',
    pieces,
    { kind: 'refused', ...first, status: 405 },
    'restart',
    { method: 'put' },
  ],
  ['a refused end is sent with all', pieces, { kind: 'refused', ...end }, 'restart', { method: 'put' }],
  [
    'a blob in one request was sent as a whole already',
    pieces,
    { kind: 'refused', ...all },
    'restart',
    { method: 'patch' },
  ],
  ['all at the end is sent before it', put, { kind: 'refused', ...all }, 'restart', { method: 'patch' }],
  [
    'a remembered plan that is refused leaves pieces to be tried',
    { ...patch, isRemembered: true },
    { kind: 'refused', ...all },
    'restart',
    { method: 'pieces', isRemembered: false },
  ],
  [
    'so does one that is too large',
    { ...put, isRemembered: true },
    { kind: 'too-large', ...all },
    'restart',
    { method: 'pieces', isRemembered: false },
  ],
  [
    'a piece is sent again in the size that its refusal asks for',
    { ...pieces, largest: MIB, min: 5 * MIB },
    { kind: 'refused', ...later },
    'repeat',
    { refused: 1, min: 5 * MIB },
  ],
  ['and then no way is left', patch, { kind: 'refused', ...all }, 'give-up', { lasting: true }],
  [
    'a lost session is begun again',
    pieces,
    { kind: 'lost', ...later },
    'restart',
    { method: 'pieces', lost: 1 },
  ],
  ['once', { ...pieces, lost: 1 }, { kind: 'lost', ...later }, 'restart', { method: 'put', lost: 0 }],
  ['with all in one request, not at all', put, { kind: 'lost', ...all }, 'restart', { method: 'patch' }],
  ['a request without progress is repeated', pieces, { kind: 'stuck', ...later }, 'repeat', { stuck: 1 }],
  ['once', { ...pieces, stuck: 1 }, { kind: 'stuck', ...later }, 'restart', { method: 'put' }],
  [
    'wrong content is sent in another way',
    pieces,
    { kind: 'rejected', ...end },
    'restart',
    { method: 'put' },
  ],
  ['an error is waited for', pieces, { kind: 'failing', ...first }, 'wait', { failing: 1 }],
  [
    'three errors to later pieces are a refusal of pieces',
    { ...pieces, largest: MIB, failing: 2 },
    { kind: 'failing', ...later },
    'restart',
    { method: 'put', failing: 0 },
  ],
  [
    'three errors to the first piece are an outage',
    { ...pieces, failing: 2 },
    { kind: 'failing', ...first },
    'wait',
    { method: 'pieces' },
  ],
  [
    'twelve errors end the upload for now',
    { ...pieces, failing: 11 },
    { kind: 'failing', ...first },
    'give-up',
    { lasting: false },
  ],
  ['two, if all is sent', { ...put, failing: 1 }, { kind: 'failing', ...all }, 'give-up', { lasting: false }],
  ['a cut is waited for', pieces, { kind: 'broken', ...later }, 'wait', { broken: 1 }],
  [
    'the second in a row halves the piece',
    { ...pieces, broken: 1 },
    { kind: 'broken', ...later },
    'wait',
    { max: 2 * MIB, broken: 0 },
  ],
  [
    'six cuts of all in one request end it for now',
    { ...put, broken: 5 },
    { kind: 'broken', ...all },
    'give-up',
    { lasting: false },
  ],
];

test('without a size of pieces that the parent takes, all is sent at once', () => {
  assert.equal(boundedBy(pieces, { min: 5 * MIB, max: MIB }).method, 'put');
  assert.deepEqual(boundedBy(pieces, { min: MIB, max: 5 * MIB }), { ...pieces, min: MIB, max: 5 * MIB });
  assert.equal(boundedBy(patch, { min: 5 * MIB, max: MIB }).method, 'patch');
});

for (const [nth, [name, plan, failed, step, changes]] of table.entries()) {
  test(`plan of an upload ${nth}, ${failed.kind}: ${name}`, () => {
    const next = nextStep(plan, failed, SIZE);
    assert.equal(next.step, step);
    const { lasting, ...expected } = changes;
    if (next.step === 'give-up') assert.equal(next.lasting, lasting);
    assert.deepEqual({ ...next.plan, ...expected }, next.plan);
  });
}

test('whatever a parent answers, an upload ends after few requests', () => {
  const kinds = ['too-large', 'refused', 'lost', 'stuck', 'rejected', 'failing', 'broken'] as const;
  // Every sequence of failures, shortened to two kinds that alternate, with and without pieces that are taken between.
  for (const one of kinds) {
    for (const other of kinds) {
      for (const takes of [false, true]) {
        let plan = pieces;
        let requests = 0;
        let carriedAll = 0;
        for (; requests < 100; requests += 1) {
          const isComplete = plan.method !== 'pieces';
          const kind = requests % 2 === 0 ? one : other;
          if (isComplete) carriedAll += 1;
          const bytes = isComplete ? SIZE : Math.max(plan.min, Math.min(4 * MIB, plan.max));
          const request = isComplete ? all : { ...later, bytes };
          if (takes && !isComplete) plan = afterTaken(plan, 64 * KIB, MIB);
          const next = nextStep(plan, { ...request, kind }, SIZE);
          plan = next.plan;
          if (next.step === 'give-up') break;
          // Errors between pieces that are taken end the upload by the time that a transfer has.
          if (next.step === 'wait' && !isComplete && takes) break;
        }
        const isCut = one === 'broken' && other === 'broken';
        assert.ok(requests < 100 || isCut, `${one} and ${other}`);
        assert.ok(carriedAll <= 8, `${one} and ${other}: all was sent ${carriedAll} times`);
      }
    }
  }
});

test('the kind of a failure follows from status and reason', () => {
  const kindOf = (status: number, reason?: string, code: Fault['code'] = 'parent-refused') =>
    failureKind(new Fault(code, 'x', { detail: { status, ...(reason && { reason }) } }));
  assert.equal(kindOf(413), 'too-large');
  assert.equal(kindOf(400, 'DIGEST_INVALID'), 'rejected');
  assert.equal(kindOf(416, undefined, 'upload-unknown'), 'refused');
  assert.equal(kindOf(404, undefined, 'upload-unknown'), 'lost');
  for (const status of [400, 405, 409, 411, 415]) assert.equal(kindOf(status), 'refused');
  for (const status of [401, 403]) assert.equal(kindOf(status), undefined);
  for (const reason of ['DENIED', 'NAME_UNKNOWN']) assert.equal(kindOf(404, reason), undefined);
  assert.equal(kindOf(500, undefined, 'parent-unreachable'), 'failing');
  assert.equal(kindOf(501, undefined, 'parent-unreachable'), 'refused');
  assert.equal(failureKind(new Fault('parent-unreachable', 'x')), 'broken');
  const waits = new Fault('parent-unreachable', 'x', { detail: { status: 503, retryAfterMs: 0 } });
  assert.equal(failureKind(waits), undefined);
  assert.equal(failureKind(new Fault('parent-invalid', 'x')), 'refused', 'such as a redirect');
  assert.equal(failureKind(new Fault('window-closed', 'x')), undefined);
  assert.equal(failureKind(new Error('x')), undefined);
});
