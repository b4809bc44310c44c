import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { isChild } from '#proto/accounts/scopes.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type Place, type Report, ReportAck, reportPath } from '#proto/status/layers-below.ts';
import { WORD_LIMIT } from '../answers/bodies.ts';
import { isStatus } from '../answers/patience.ts';
import { readAs } from '../answers/read-as.ts';
import type { Link } from '../http/link.ts';
import { sent } from '../http/sending.ts';
import { type Activation, refused, takenSince } from './activation.ts';
import { TerraceApi } from './terrace-api.ts';

const pack = promisify(gzip);

/** The report has come to where it is read, and something in it is not taken; every other one would be taken. */
const OF_WHAT_IT_HOLDS = [400, 413, 422];

/**
 * A slow link still carries the body when the socket has taken all of it: the parent, which answers 408 after so long,
 * decides whether it came in time. In ms.
 */
const BODY_SLACK_MS = 60_000;

/** A parent that takes no reports is asked again after so long, in ms: it may be a Terrace, or let us, by then. */
const ASK_AGAIN_MS = 10 * 60_000;

/** The parent gave up waiting for the body: fewer events may come in time. */
export const isTooSlow = (error: unknown): boolean =>
  Fault.is(error, 'parent-unreachable') && isStatus(error, 408, 400);

/** Where a Terrace above is told how this layer, and those below it, are. */
export class ParentReports {
  readonly #link: Link;
  readonly #child: string;
  readonly #activation: Pick<Activation, 'invalidate'>;
  readonly #api: TerraceApi;

  /** @param child the name of this layer at its parent */
  constructor(link: Link, child: string, activation: Pick<Activation, 'invalidate'>) {
    this.#link = link;
    this.#child = child;
    this.#activation = activation;
    this.#api = new TerraceApi(ASK_AGAIN_MS, isChild(child) && !link.azure);
  }

  /**
   * @returns how far the parent is, and whether it took the report; what it refused for good where that is what the
   * report holds; undefined where it takes none, as it is no Terrace or does not let us
   * @throws Fault `parent-unreachable`, `busy`, `parent-refused`, `already-activated`
   */
  async send(
    report: Report,
    signal: AbortSignal,
  ): Promise<{ taken: boolean; place: Place | undefined } | { refused: Fault } | undefined> {
    if (!this.#api.isSpoken) return undefined;
    const path = reportPath(this.#child);
    const body = await pack(JSON.stringify(report));
    const answer = await this.#link.request(path, {
      method: 'POST',
      scope: `gateway:${this.#child}:message_write`,
      headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
      body: { ...sent(body), slackMs: BODY_SLACK_MS },
      signal,
    });
    const { statusCode: status } = answer;
    if (status === 200 || status === 409) {
      const said = (await this.#link.read(answer, WORD_LIMIT, path)).toString('utf8');
      const other = takenSince(status, said);
      if (other) {
        this.#activation.invalidate();
        throw refused(this.#child, other.taken);
      }
      const found = readAs(ReportAck, said);
      if (found) return { taken: status === 200, place: found.place };
    } else {
      const fault = await TerraceApi.refused(answer, `POST ${path}`);
      // So a body that came too slowly was refused by earlier versions: no part of it is at fault.
      if (status === 400 && fault.detail?.reason === 'SIZE_INVALID') {
        throw new Fault('parent-unreachable', fault.message, { detail: fault.detail });
      }
      const holds = report.events.length > 0 || report.layers !== undefined;
      if (holds && OF_WHAT_IT_HOLDS.includes(status)) return { refused: fault };
    }
    this.rest();
    return undefined;
  }

  /** The parent is left alone for a while. */
  rest(): void {
    this.#api.rest();
  }
}
