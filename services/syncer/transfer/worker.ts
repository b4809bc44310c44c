import type { Static } from '@sinclair/typebox';
import { createActor, toPromise } from 'xstate';
import type { Verdict } from '#proto/bus.ts';
import {
  type transferBlob,
  transferDelayed,
  transferFailed,
  transferFinished,
  transferProgressed,
  transferStarted,
} from '#proto/transfers.ts';
import type { Outcome } from './transfer.machine.ts';
import { type StepMeans, transferActor } from './transfer-steps.ts';

type Body = Static<typeof transferBlob.body>;

const PROGRESS_MS = 1_000;
/** How long a job rests whose blob another syncer holds, in whole ms: the queue takes no others; jitter comes on top. */
const HELD_MS = 1_500;

export type WorkerMeans = Omit<StepMeans, 'started' | 'progress'>;

/** Carries out one job: a transfer machine from its start to its end, told to the bus step by step. */
export async function transfer(means: WorkerMeans, { pass, ...wanted }: Body): Promise<Verdict> {
  const { bus, by, log, signal } = means;
  const about = { ...wanted, pass, syncer: by };
  let told = Date.now();
  let last = 'locating';
  const actor = createActor(
    transferActor({
      ...means,
      started: (present) => bus.publish(transferStarted, { ...about, present }),
      progress: (done) => {
        if (Date.now() - told < PROGRESS_MS) return;
        told = Date.now();
        bus.publish(transferProgressed, { ...about, done });
      },
    }),
    { input: wanted },
  );
  actor.subscribe({
    next: ({ value, context: { fault, until } }) => {
      if (value === 'waiting' && last !== 'waiting' && fault) {
        bus.publish(transferDelayed, { ...about, code: fault.code, reason: fault.message, until });
        log.warn({ digest: wanted.digest, code: fault.code, ms: until - Date.now() }, fault.message);
      }
      last = String(value);
    },
    // Its promise tells.
    error: () => {},
  });
  const cancel = () => actor.send({ type: 'transfer.cancel' });
  signal.addEventListener('abort', cancel, { once: true });
  try {
    actor.start();
    const outcome = await toPromise(actor);
    return conclude(means, about, outcome);
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

function conclude(
  { bus, log, signal }: WorkerMeans,
  about: Body & { syncer: string },
  { result, fault }: Outcome,
): Verdict {
  if (result === 'present') {
    bus.publish(transferFinished, about);
    return 'done';
  }
  if (result === 'held') return { again: Math.round(HELD_MS * (1 + Math.random())) };
  if (signal.aborted) return { again: 0 };
  const { code, message } = fault ?? { code: 'internal', message: 'the transfer failed' };
  bus.publish(transferFailed, { ...about, code, reason: message });
  log.warn({ digest: about.digest, code }, `transfer given up for this pass: ${message}`);
  return 'done';
}
