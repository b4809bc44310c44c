import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Static, TSchema } from '@sinclair/typebox';
import fc from 'fast-check';
import type { Bus } from '#proto/bus/bus.ts';
import { type Event, pack, parse, type State, unpack } from '#proto/contract/contract.ts';
import { Envelope } from '#proto/contract/envelope.ts';
import { Fault, type FaultCode, faultCodes, fromWire, toWire, WireFault } from '#proto/contract/fault.ts';
import { limitComplaints } from '#proto/document/complaints.ts';
import { configurationRefused } from '#proto/document/configuration.ts';
import { LayersReport, layersBelow, reportProgress, StreamPosition } from '#proto/status/layers-below.ts';
import { bridgeStatus } from '#proto/status/status.ts';
import { Parked } from '#proto/sync/outgoing.ts';
import { imageFailed, imageParked, passFinished } from '#proto/sync/passes.ts';
import { ChildReports } from '../../../services/gateway/children/child-reports.ts';
import { HistoryRoom } from '../../../services/storage/history/history-room.ts';
import { LinkReport } from '../../../services/syncer/coordinator/link-report.ts';
import { refusal } from '../../../services/syncer/link/answers/answers.ts';
import { deliveryWait, verdictOf } from '../../../services/syncer/notify/verdict.ts';
import { WebhookProgress } from '../../../services/syncer/notify/webhook-progress.ts';
import { RefusedEvents } from '../../../services/syncer/parent-tasks/refused-events.ts';
import { Parking } from '../../../services/syncer/reconcile/context/parking.ts';
import { PassStats } from '../../../services/syncer/reconcile/context/pass-stats.ts';
import { SyncerActivity } from '../../../services/syncer/transfer/syncer-status.ts';
import { runDownload } from '../../../services/syncer/transfer/worker.ts';
import { quiet } from '../../support/bus.ts';

/**
 * For any input from outside, each event and each state that is made of it can be packed and unpacked. Each producer
 * runs with arbitrary inputs on a bus that packs and unpacks as the real one.
 */

/** Packs events and states. `packed` holds their types and buckets. */
class PackingBus {
  readonly packed = new Set<string>();
  readonly states = new Map<string, { bytes: Uint8Array; revision: number }>();
  /** The first error: the real bus only logs it. */
  failure: unknown;

  publish = <T extends TSchema>(event: Event<T>, data: Static<T>): void => {
    try {
      unpack(event.data, pack(event.data, data));
      this.packed.add(event.type);
    } catch (error) {
      this.failure ??= error;
    }
  };
  put = async <T extends TSchema>(state: State<T>, key: string, value: Static<T>): Promise<void> => {
    try {
      const bytes = pack(state.value, value);
      unpack(state.value, bytes);
      const revision = (this.states.get(`${state.bucket}.${key}`)?.revision ?? 0) + 1;
      this.states.set(`${state.bucket}.${key}`, { bytes, revision });
      this.packed.add(state.bucket);
    } catch (error) {
      this.failure ??= error;
      throw error;
    }
  };
  get = async <T extends TSchema>(state: State<T>, key: string) => {
    const entry = this.states.get(`${state.bucket}.${key}`);
    return entry && { value: unpack(state.value, entry.bytes), revision: entry.revision };
  };
  swap = async <T extends TSchema>(state: State<T>, key: string, value: Static<T>): Promise<number> => {
    await this.put(state, key, value);
    return this.states.get(`${state.bucket}.${key}`)?.revision as number;
  };
  remove = async (state: State, key: string): Promise<void> => {
    this.states.delete(`${state.bucket}.${key}`);
  };
  call = async (): Promise<object> => ({});

  /** @param expected types and buckets that have to be packed by now */
  end(...expected: string[]): void {
    if (this.failure) throw this.failure;
    for (const name of expected) assert.ok(this.packed.has(name), `${name} was not packed`);
  }
}

/** Text of other machines: any characters, of any length. */
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'binary' }).map((part) => part.repeat(500)),
  // Half of a surrogate pair.
  fc.constant(`${'x'.repeat(1_998)}\u{1f600}${'\ud800'.repeat(20)}`),
);
const retryAfter = fc.oneof(
  fc.integer({ min: 0, max: 1_000 }).map(String),
  fc.constant('9'.repeat(400)),
  fc.constant('Wed, 21 Oct 2099 07:28:00 GMT'),
  text,
);
const errorBody = fc
  .record({ code: text, message: text })
  .map((error) => JSON.stringify({ errors: [error] }));
/** A refusal by the parent, made of its answer. */
const refused = fc
  .tuple(fc.constantFrom(400, 404, 408, 413, 429, 500, 503), retryAfter, fc.oneof(errorBody, text), text)
  .map(([status, header, body, what]) => refusal(status, { 'retry-after': header }, body, what));
const fault = fc.oneof(
  refused,
  fc
    .tuple(fc.constantFrom(...(faultCodes as readonly FaultCode[])), text)
    .map(([code, message]) => new Fault(code, message)),
  text.map((message) => new Error(message)),
);
const digest = `sha256:${'0'.repeat(64)}`;
const RUNS = { numRuns: 150 };

test('faults can be packed', () => {
  fc.assert(
    fc.property(fault, (error) => {
      const wire = toWire(error);
      fromWire(unpack(WireFault, pack(WireFault, wire)));
    }),
    RUNS,
  );
});

test('events of a transfer that fails or is delayed can be packed', async () => {
  const bus = new PackingBus();
  let failure: unknown;
  await fc.assert(
    fc.asyncProperty(fault, async (error) => {
      const end = new AbortController();
      failure = error;
      const deps = {
        bus: {
          publish: <T extends TSchema>(event: Event<T>, data: Static<T>) => {
            bus.publish(event, data);
            // The next attempt is not awaited.
            if (event.type === 'transfer.delayed') end.abort(new Error('the test is over'));
          },
          call: async () => {
            throw failure;
          },
        },
        by: 'syncer-x',
        log: quiet,
        signal: end.signal,
        slots: { count: 1 },
        activity: new SyncerActivity(bus as unknown as Bus, 'x', quiet),
      };
      const job = { repository: 'a', digest, size: 1, pass: 'p', direction: 'down' as const };
      await runDownload(deps as never, job).catch(() => {});
      await deps.activity[Symbol.asyncDispose]();
      bus.end();
    }),
    RUNS,
  );
  bus.end('transfer.delayed', 'transfer.failed');
});

test('the state of the active transfers of a syncer can be packed', async () => {
  const bus = new PackingBus();
  await fc.assert(
    fc.asyncProperty(refused, fc.integer({ min: 1, max: 6 }), async (error, failures) => {
      const activity = new SyncerActivity(bus as unknown as Bus, 'x', quiet);
      using active = activity.begin({ repository: 'a', digest, size: 1, direction: 'down' });
      active.waits(
        Date.now() + deliveryWait(failures, Number(error.detail?.retryAfterMs ?? 0)),
        toWire(error).code,
      );
      await new Promise((resolve) => setTimeout(resolve, 1));
      await activity[Symbol.asyncDispose]();
      bus.end();
    }),
    { numRuns: 20 },
  );
  bus.end('syncers');
});

test('results and failures of passes, parked changes and the link status can be packed', async () => {
  const bus = new PackingBus();
  const where = fc.record({ repository: fc.constant('a/b'), tag: fc.constantFrom('v1', digest) });
  const failures = fc.array(fc.tuple(where, fault), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(failures, fault, async (all, other) => {
      const stats = new PassStats(quiet);
      for (const [at, error] of all) {
        const failure = stats.fail(at, error);
        if (failure) {
          const { code, reason } = failure;
          bus.publish(imageFailed, { pass: 'p', repository: 'a/b', tag: null, code, reason });
        }
      }
      const parking = await Parking.load(
        { ...bus, call: async () => ({ parked: [], more: false }) } as never,
        AbortSignal.any([]),
      );
      const wire = fromWire(toWire(other));
      const parked = await parking.refused({ repository: 'a/b', reference: 'v1', digest }, wire);
      pack(Parked, parked);
      const { code, reason, retry } = parked;
      bus.publish(imageParked, { pass: 'p', repository: 'a/b', tag: 'v1', digest, code, reason, retry });
      stats.wait(parked);
      const result = stats.result('p');
      bus.publish(passFinished, result);
      const link = new LinkReport({
        bus: bus as unknown as Bus,
        log: quiet,
        by: 'syncer-x',
        times: () => undefined,
        scope: () => 'scope',
        isCoordinator: () => true,
      });
      using pass = link.begin();
      pass.reportSyncing();
      await link.reportStalled(wire.message);
      await pass.ended(result, { isUnscoped: true, announced: true });
      bus.end();
    }),
    RUNS,
  );
  bus.end('image.failed', 'image.parked', 'pass.finished', 'link', 'link.changed');
});

test('the status of a webhook can be packed for any answer of its receiver', async () => {
  const bus = new PackingBus();
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 200, max: 599 }),
      retryAfter,
      fc.integer({ min: 1, max: 40 }),
      async (status, header, attempts) => {
        const progress = new WebhookProgress(bus as unknown as Bus, '0'.repeat(32), 'host.example', quiet);
        const verdict = verdictOf(status, { 'retry-after': header });
        if (verdict.kind === 'accepted') progress.accepted(1, false);
        else {
          const waits = deliveryWait(attempts, 'afterMs' in verdict ? verdict.afterMs : undefined);
          const { reason } = verdict;
          progress.failed(verdict.kind === 'removed' ? 'Parked' : 'Failing', {
            reason,
            attempts,
            next: Date.now() + waits,
          });
        }
        progress.end();
        await new Promise((resolve) => setImmediate(resolve));
        bus.end();
      },
    ),
    RUNS,
  );
  bus.end('webhooks', 'webhook.changed');
});

test('complaints about a document can be packed', () => {
  const bus = new PackingBus();
  const many = fc.constant(Array.from({ length: 1_000 }, () => '\u2713'.repeat(5_000)));
  fc.assert(
    fc.property(fc.oneof(fc.array(text, { maxLength: 300 }), many), (all) => {
      const complaints = limitComplaints(all);
      bus.publish(configurationRefused, { source: '/etc/terrace.yaml', complaints });
      pack(bridgeStatus.reply, { source: '/etc/terrace.yaml', complaints });
      bus.end();
    }),
    RUNS,
  );
});

test('a report of a layer below is refused, or stored so that it can be unpacked', async () => {
  const bus = new PackingBus();
  const key = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('__proto__', 'constructor', 'prototype'),
  );
  const data = fc.oneof(
    fc.jsonValue({ maxDepth: 5 }),
    fc.dictionary(key, fc.anything({ maxDepth: 1 })),
    text,
  );
  const mostly = (usual: string, ...others: fc.Arbitrary<string>[]) =>
    fc.oneof({ weight: 12, arbitrary: fc.constant(usual) }, ...others);
  const event = fc.record({
    specversion: fc.constant('1.0'),
    id: mostly('a-1', text),
    source: mostly('/layers/line/a', key, text),
    type: mostly('terrace.tag.moved', text),
    time: mostly('2030', text),
    layer: mostly('line', key, text),
    origin: mostly('m/1', text),
    data,
  });
  const layer = fc.record({
    path: fc.array(mostly('a', fc.constantFrom('b-1', '__proto__', 'A')), { maxLength: 20 }),
    name: mostly('line', text),
    mode: fc.constantFrom('ReadOnly', 'ReadWrite'),
    at: fc.constantFrom(1, 1, 1, 0.5, 1e300),
    link: fc.record({
      state: fc.constant('Offline'),
      since: fc.constant(1),
      coordinator: fc.constant('c'),
      detail: text,
    }),
  });
  const report = fc.record({
    made: fc.constant('m'),
    restart: fc.constant(true),
    events: fc
      .array(event, { maxLength: 3 })
      .map((all) => all.map((envelope, at) => ({ sequence: at + 1, event: envelope }))),
    layers: fc.array(layer, { maxLength: 4 }).map((all) => [{ ...all[0], path: [] }, ...all]),
  });
  const relay = {
    store: async (_child: string, { sequence }: { sequence: number }, envelope: Envelope) => {
      unpack(Envelope, pack(Envelope, envelope));
      bus.packed.add('below');
      return sequence;
    },
    since: async function* () {},
  };
  const archive = { bounds: async () => ({ first: 1, last: 9, made: 'm' }), idAt: async () => undefined };
  const below = new ChildReports({ ...bus, relay, archive } as never);
  await fc.assert(
    fc.asyncProperty(report, async (sent) => {
      let received: LayersReport;
      try {
        received = parse(LayersReport, JSON.stringify(sent));
      } catch (error) {
        if (Fault.is(error, 'malformed')) return;
        throw error;
      }
      const { place } = await below.take('line', received, { account: true });
      if (place) pack(StreamPosition, place);
      bus.end();
    }),
    { numRuns: 1_500 },
  );
  bus.end(layersBelow.bucket, reportProgress.bucket, 'below');
});

test('refused events and trimmed history can be packed', async () => {
  const bus = new PackingBus();
  await fc.assert(
    fc.asyncProperty(refused, async (error) => {
      const events = new RefusedEvents(bus as unknown as Bus, quiet);
      const event = { id: 'a-1', type: 'terrace.tag.moved' } as Envelope;
      events.add({ sequence: 1, event }, error);
      await events.report();
      await events.confirm();
      bus.end();
    }),
    RUNS,
  );
  const subjectLists = fc.array(fc.constantFrom('events.a.b', 'below.line.a', 'below.cell.a'), {
    minLength: 20,
    maxLength: 60,
  });
  await fc.assert(
    fc.asyncProperty(subjectLists, async (subjects) => {
      const room = {
        size: async () => ({ bytes: 1_000, limit: 1_000 }),
        has: async () => true,
        scan: async (visit: (event: { sequence: number; subject: string; bytes: number }) => void) => {
          for (const [at, subject] of subjects.entries()) visit({ sequence: at + 1, subject, bytes: 50 });
        },
        trim: async () => 7,
      };
      await new HistoryRoom({ bus: { room, publish: bus.publish }, log: quiet }).trimIfFull();
      bus.end();
    }),
    RUNS,
  );
  bus.end('link', 'history.refused', 'history.lost');
});
