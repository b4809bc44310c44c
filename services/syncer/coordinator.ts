import { randomUUID } from 'node:crypto';
import { Cron } from 'croner';
import { createActor, fromCallback, fromPromise } from 'xstate';
import { Fault, toWire } from '#proto/fault.ts';
import { type PassResult, passFinished, startPass } from '#proto/passes.ts';
import { LINK_KEY, type LinkStatus, linkStatus } from '#proto/status.ts';
import { blobDamaged, spaceChanged } from '#proto/upkeep.ts';
import type { Volume } from '#proto/volume.ts';
import type { Context } from '../run.ts';
import { holdLease } from './lease.ts';
import { makePass } from './reconcile/pass.ts';
import type { Settings } from './settings.ts';
import { type SyncerEvent, syncerMachine } from './syncer.machine.ts';
import type { Wish } from './wish.ts';

/** Events that ask for a pass come in groups: the pass begins so long after one of them, in ms. */
const SOON_MS = 1_000;

/**
 * Makes the passes of the layer for as long as this process holds the lease: at its beginning, on schedule, after a
 * change of the configuration, and when somebody asks. Ends when the process does.
 */
export async function coordinate(context: Context, volume: Volume, settings: Settings): Promise<Coordinator> {
  const { bus, log, instance, signal } = context;
  let unserve: (() => void) | undefined;
  let ungrant: (() => void) | undefined;
  let link: LinkStatus | undefined;

  const tell = async (state: LinkStatus['state'], detail?: string): Promise<void> => {
    // Another coordinator may have said more since this one last did.
    link = (await bus.get(linkStatus, LINK_KEY).catch(() => undefined))?.value ?? link;
    const since = link?.state === state ? link.since : Date.now();
    const lastSync = state === 'Online' ? Date.now() : link?.lastSync;
    link = { state, since, coordinator: instance, ...(lastSync && { lastSync }), ...(detail && { detail }) };
    await bus
      .put(linkStatus, LINK_KEY, link)
      .catch((err) => log.debug({ err }, 'the link state was not written'));
  };

  const actor = createActor(
    syncerMachine.provide({
      actors: {
        makePass: fromPromise<void, Wish>(async ({ input: asked, signal: stopped }) => {
          const { id, cause } = asked;
          if (!settings.hasParent) return;
          await tell('Syncing');
          try {
            const means = {
              bus,
              volume,
              log,
              parent: await settings.parent(),
              configuration: settings.get(),
              by: instance,
              layer: context.layer,
              signal: AbortSignal.any([signal, stopped]),
            };
            const finished = await makePass(means, asked);
            const { taken, dropped, failed, ms } = finished;
            log.info({ pass: id, cause, taken, dropped, failed, ms }, 'pass ended');
            // The state first: whoever hears of the end may ask for it.
            await tell(...stateAfter(finished));
            bus.publish(passFinished, finished);
          } catch (err) {
            if (signal.aborted || stopped.aborted) return;
            log.error({ err, pass: id }, 'a pass failed');
            await tell('Unhealthy', err instanceof Fault ? err.message : 'the pass failed; the log says why');
            const { code, message } = toWire(err);
            const nothing = {
              ok: false,
              taken: 0,
              dropped: 0,
              sent: 0,
              withdrawn: 0,
              failed: 1,
              parked: 0,
              ms: 0,
            };
            bus.publish(passFinished, { pass: id, ...nothing, failures: [{ code, reason: message }] });
          }
        }),
        clock: fromCallback(({ sendBack }) => ticking(settings, () => sendBack(wanted('schedule')))),
      },
    }),
  );
  actor.on('leading', () => {
    ungrant = settings.bandwidth.lead();
    unserve = bus.serve(startPass, async () => {
      settings.get();
      actor.send(wanted('request'));
      const { current, next } = actor.getSnapshot().context;
      const pass = (next ?? current)?.id;
      if (!pass) throw new Fault('unavailable', 'the coordinator changes: ask again');
      return { pass };
    });
  });
  actor.on('following', () => {
    unserve?.();
    ungrant?.();
  });
  // What was damaged comes again; what had no room may have it now.
  let timer: NodeJS.Timeout | undefined;
  const soon = (cause: string) => {
    timer ??= setTimeout(() => {
      timer = undefined;
      actor.send(wanted(cause));
    }, SOON_MS).unref();
  };
  const unheard = [
    bus.listen(blobDamaged, () => soon('damage')),
    bus.listen(spaceChanged, ({ data }) => !data.low && soon('space')),
  ];
  actor.subscribe({ error: (err) => log.error({ err }, 'the coordinator failed') });
  actor.start();
  const lease = holdLease(bus, instance, signal, log, (held) =>
    actor.send(held ? { type: 'lease.gained', pass: wish('start') } : { type: 'lease.lost' }),
  );
  return {
    ended: lease.then(() => {
      for (const end of unheard) end();
      clearTimeout(timer);
      actor.stop();
    }),
    want: (cause) => actor.send(wanted(cause)),
  };
}

export type Coordinator = {
  /** Resolves when the lease is given back. */
  ended: Promise<void>;
  /** A pass, if this process is the coordinator. */
  want(cause: string): void;
};

const wish = (cause: string): Wish => ({ id: randomUUID(), cause });
const wanted = (cause: string): SyncerEvent => ({ type: 'pass.wanted', pass: wish(cause) });

function stateAfter({ ok, failures, failed }: PassResult): [LinkStatus['state'], string?] {
  if (ok) return ['Online'];
  const first = failures[0];
  const where = [first?.repository, first?.tag].filter(Boolean).join(':');
  const detail = `${where ? `${where}: ` : ''}${first?.reason}${failed > 1 ? ` (and ${failed - 1} more)` : ''}`;
  return [first?.code === 'parent-unreachable' && !first.repository ? 'Offline' : 'Unhealthy', detail];
}

/** Calls `tick` as the schedule says; a changed schedule takes effect within a minute. @returns what ends it */
function ticking(settings: Settings, tick: () => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  const MOST_MS = 60_000;
  const arm = () => {
    const next = settings.hasParent ? new Cron(settings.get().schedule, { timezone: 'UTC' }).nextRun() : null;
    const ms = next ? next.getTime() - Date.now() : Number.POSITIVE_INFINITY;
    timer = setTimeout(
      () => {
        if (ms <= MOST_MS) tick();
        arm();
      },
      Math.min(ms, MOST_MS),
    );
  };
  arm();
  return () => clearTimeout(timer);
}
