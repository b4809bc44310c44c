import { setTimeout as sleep } from 'node:timers/promises';
import { deactivateChild } from '#proto/accounts/children.ts';
import {
  CollectBody,
  Deactivated,
  Empty,
  LinkPaused,
  PassAccepted,
  PauseBody,
  RetryBody,
  Started,
  SyncBody,
} from '#proto/api/actions.ts';
import { collectGarbage, scrub } from '#proto/content/maintenance.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Static } from '#proto/contract/schema.ts';
import { startPass } from '#proto/sync/passes.ts';
import { endLinkPause, setLinkPause } from '#proto/sync/pause.ts';
import { onBehalfOf } from '../../auth/request-caller.ts';
import { childParameter } from '../../http/parameters.ts';
import type { Gateway } from '../../routes/resource.ts';
import { type Operation, type OperationCall, operation } from '../operation/operation.ts';

/** How long a refusal of a long run may take, in ms: after that, it is running. */
const REFUSAL_MS = 500;

/** What an operator may do. Each request is in the audit, done or refused. */
export function actionOperations(gateway: Gateway): Operation[] {
  const { bus, log } = gateway;
  const of = ({ request }: OperationCall) => onBehalfOf(request, gateway);

  /** Only a layer with a parent has passes. @throws Fault `conflict` */
  const pass = async (
    call: OperationCall,
    query: Static<typeof startPass.query>,
  ): Promise<{ pass: string }> => {
    try {
      return await bus.call(startPass, query, of(call));
    } catch (error) {
      if (!Fault.is(error, 'config-invalid')) throw error;
      throw new Fault('conflict', error.message, { cause: error });
    }
  };

  /** Begins a run that storage answers at its end. */
  const begin = async (run: Promise<unknown>, name: string): Promise<{ started: boolean }> => {
    const refusal = run.then(
      () => true,
      (error: unknown) => {
        if (Fault.is(error, 'busy')) return false;
        throw error;
      },
    );
    refusal.catch((err) => log.warn({ err }, `${name} failed`));
    const started = await Promise.race([refusal, sleep(REFUSAL_MS, true, { ref: false })]);
    return { started };
  };

  return [
    operation({
      method: 'POST',
      path: '/sync',
      needs: 'operate/write',
      audits: 'pass/start',
      summary: 'Begins a pass, now or after the running one.',
      body: SyncBody,
      answers: { 202: PassAccepted },
      refusals: [412],
      handler: (call) => pass(call as OperationCall, { full: call.body.full ?? false }),
    }),
    operation({
      method: 'POST',
      path: '/parked/retry',
      needs: 'operate/write',
      audits: 'parked/retry',
      summary:
        'Retries what the parent refused and what failed, without comparing everything again: begins a pass.',
      body: RetryBody,
      answers: { 202: PassAccepted },
      refusals: [412],
      handler: (call) => pass(call as OperationCall, { retry: call.body }),
    }),
    operation({
      method: 'POST',
      path: '/link/pause',
      needs: 'operate/write',
      audits: 'link/pause',
      summary: 'Pauses the link: nothing crosses it until it is resumed, or the time of the pause is over.',
      body: PauseBody,
      answers: { 200: LinkPaused },
      handler: (call) => bus.call(setLinkPause, call.body, of(call as OperationCall)),
    }),
    operation({
      method: 'POST',
      path: '/link/resume',
      needs: 'operate/write',
      audits: 'link/resume',
      summary: 'Ends the pause of the link.',
      body: Empty,
      answers: { 200: LinkPaused },
      handler: async (call) => {
        await bus.call(endLinkPause, {}, of(call as OperationCall));
        return {};
      },
    }),
    operation({
      method: 'POST',
      path: '/garbage-collection',
      needs: 'operate/write',
      audits: 'garbage/collect',
      summary: 'Begins a garbage collection; the event garbage.collected reports its end.',
      body: CollectBody,
      answers: { 202: Started },
      handler: (call) => {
        const query = { dryRun: false, now: call.body.now ?? false };
        return begin(bus.call(collectGarbage, query, of(call as OperationCall)), 'garbage collection');
      },
    }),
    operation({
      method: 'POST',
      path: '/scrub',
      needs: 'operate/write',
      audits: 'scrub/run',
      summary: 'Begins a scrub; the event scrub.finished reports its end.',
      body: Empty,
      answers: { 202: Started },
      handler: (call) => begin(bus.call(scrub, {}, of(call as OperationCall)), 'scrub'),
    }),
    operation({
      method: 'DELETE',
      path: '/children/:child/activation',
      needs: 'operate/write',
      audits: 'child/deactivate',
      summary: 'Deactivates the instance of a child: the next one that asks becomes active.',
      answers: { 200: Deactivated },
      handler: (call) =>
        bus.call(deactivateChild, { name: childParameter(call.request) }, of(call as OperationCall)),
    }),
  ];
}
