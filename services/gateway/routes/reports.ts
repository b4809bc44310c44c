import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import type { FastifyInstance } from 'fastify';
import { ALREADY_ACTIVATED, chargeChild, checkChild } from '#proto/accounts/children.ts';
import { parse } from '#proto/contract/contract.ts';
import { Fault } from '#proto/contract/fault.ts';
import {
  LayersReport,
  MAX_REPORT_BYTES,
  MAX_REPORT_VALUES,
  type ReportAck,
  reportPath,
} from '#proto/status/layers-below.ts';
import { ChildReports } from '../children/child-reports.ts';
import { forgetDeletedChildren } from '../children/forget-children.ts';
import { ReportTurns } from '../children/report-turns.ts';
import { reportedChanges } from '../children/reported-changes.ts';
import { childParameter, parameter } from '../http/parameters.ts';
import { readBody } from '../http/read-body.ts';
import { type Gateway, type RouteHandler, registerResource } from './resource.ts';

const unzip = promisify(gunzip);

/** Reports of the layers below: JSON, compressed with gzip if the header says so. */
export function registerReportRoutes(app: FastifyInstance, gateway: Gateway): void {
  const { bus, times, access } = gateway;
  const reports = new ChildReports(bus);
  const turns = new ReportTurns();
  const forgetting = forgetDeletedChildren({ bus, reports, log: gateway.log });
  app.addHook('onClose', async () => forgetting[Symbol.dispose]());

  /** @throws Fault `already-activated` */
  const mustBeActive = async (name: string, { instance, start }: LayersReport) => {
    const query = {
      name,
      ...(instance !== undefined && { instance }),
      ...(start !== undefined && { start }),
    };
    const { free } = await bus.call(checkChild, query, { patience: times.patienceMs });
    if (!free) throw new Fault('already-activated', ALREADY_ACTIVATED);
  };

  const take: RouteHandler = async (request, reply) => {
    const child = childParameter(request);
    using _slot = turns.admit(child);
    const body = await readBody(request.raw, {
      limit: MAX_REPORT_BYTES,
      withinMs: times.idleMs,
      what: 'report',
    });
    await access.recheck(request, reply);
    const { taken, place } = await turns.run(child, async () => {
      // The child sends it again on another connection.
      if (request.raw.socket.destroyed) throw new Fault('unavailable', 'the child disconnected');
      const packed = request.headers['content-encoding'] === 'gzip';
      const bytes = packed ? await unpackReport(body) : body;
      const received = bytes.byteLength;
      // Before parsing, which takes many times the memory.
      await bus.call(chargeChild, { child, bytes: received }, { patience: times.patienceMs });
      const report = parseReport(bytes);
      await mustBeActive(child, report);
      return reports.take(child, report, { account: Boolean(request.caller?.name), charged: received });
    });
    const answer: ReportAck = { ...(place && { place }) };
    reply
      .code(taken ? 200 : 409)
      .header('cache-control', 'no-store')
      .type('application/json');
    return reply.send(JSON.stringify(answer));
  };
  const changes: RouteHandler = async (request, reply) => {
    const child = childParameter(request);
    const number = (name: string) => numberIn(parameter(request, name), name);
    const query = {
      ...{ since: number('since'), until: number('until'), after: number('after') },
      layer: parameter(request, 'layer') ?? child,
    };
    const answer = await reportedChanges(bus, child, query);
    await access.recheck(request, reply);
    reply.header('cache-control', 'no-store').type('application/json');
    return reply.send(JSON.stringify(answer));
  };
  registerResource(app, gateway, reportPath(':child'), {
    GET: {
      needs: 'message/write',
      handler: changes,
      answer:
        '200: changes of tags that the child reported, from `since` to `until` (ms since 1970) after the sequence `after`',
    },
    POST: {
      needs: 'message/write',
      handler: take,
      answer:
        '200: the events are stored, up to the place in the answer; 409: this layer expects another place, or another instance of the child is active',
    },
  });
}

/** @throws Fault `malformed` */
function numberIn(text = '0', name = ''): number {
  if (/^\d{1,16}$/.test(text)) return Number(text);
  throw new Fault('malformed', `query parameter ${name} is not valid: write a whole number`);
}

/** @throws Fault `malformed`, `too-large` */
async function unpackReport(body: Buffer): Promise<Buffer> {
  try {
    return await unzip(body, { maxOutputLength: MAX_REPORT_BYTES });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_BUFFER_TOO_LARGE') {
      throw new Fault('malformed', 'the report is not gzip, although its Content-Encoding is gzip', {
        cause,
      });
    }
    throw new Fault('too-large', `the report has more than ${MAX_REPORT_BYTES} bytes after decompression`);
  }
}

/** @throws Fault `malformed`, naming the field */
function parseReport(body: Buffer): LayersReport {
  try {
    return parse(LayersReport, body, { values: MAX_REPORT_VALUES });
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw new Fault('malformed', 'the report is not JSON', { cause });
  }
}
