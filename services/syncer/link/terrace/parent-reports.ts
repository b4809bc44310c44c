import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { isChild } from '#proto/accounts/scopes.ts';
import { ReportedChanges } from '#proto/content/restored.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type LayersReport, ReportAck, reportPath, type StreamPosition } from '#proto/status/layers-below.ts';
import { MAX_PAGE_BYTES, MAX_SMALL_ANSWER_BYTES } from '../answers/bodies.ts';
import { readAs } from '../answers/read-as.ts';
import { isStatus } from '../answers/retry.ts';
import type { ParentLink } from '../http/parent-link.ts';
import { bodyOf } from '../http/sending.ts';
import { type ActivationInvalidator, activationRefused, conflictIn } from './activation.ts';
import { refusalIn, TerraceApi, throwIfTransient } from './terrace-api.ts';

const pack = promisify(gzip);

/** Statuses that reject the content of a report that was received; one with other content would be accepted. */
const CONTENT_REJECTED = [400, 413, 422];

/**
 * Extra time for the answer, in ms: a slow link still carries the body when the socket has accepted all of it. The
 * parent answers 408 after this time, and so decides whether the body arrived in time.
 */
const BODY_SLACK_MS = 60_000;

/** How long a parent that accepts no reports is not asked again, in ms: it may be a Terrace, or permit it, by then. */
const RECHECK_MS = 10 * 60_000;

/** Whether the parent gave up waiting for the body: one with fewer events may arrive in time. */
export const isTooSlow = (error: unknown): boolean =>
  Fault.is(error, 'parent-unreachable') && isStatus(error, 408, 400);

/** `since`, `until`: of the events, in ms since 1970. `layer`: name of this layer. `after`: end of the page before. */
export type ReportedQuery = { since: number; until: number; layer: string; after: number };

/** Sends reports to the parent. */
export interface ReportSender {
  send: ParentReports['send'];
  suspend: ParentReports['suspend'];
}

/** Knows what this layer has reported. */
export interface ReportedHistory {
  changes: ParentReports['changes'];
}

/** Sends the status of this layer, and of the layers below it, to a Terrace above. */
export class ParentReports implements ReportSender {
  readonly #link: ParentLink;
  readonly #child: string;
  readonly #activation: ActivationInvalidator;
  readonly #api: TerraceApi;

  /** @param child the name of this layer at its parent */
  constructor(link: ParentLink, child: string, activation: ActivationInvalidator) {
    this.#link = link;
    this.#child = child;
    this.#activation = activation;
    this.#api = new TerraceApi(RECHECK_MS, isChild(child) && !link.azure);
  }

  /**
   * @returns the parent's position in the stream, and whether it stored the report (`taken`); `refused` if it
   * permanently rejects the content of this report; undefined if it accepts no reports: it is no Terrace, or denies
   * access
   * @throws Fault `parent-unreachable`, `busy`, `parent-refused`, `already-activated`
   */
  async send(
    report: LayersReport,
    signal: AbortSignal,
  ): Promise<{ taken: boolean; place: StreamPosition | undefined } | { refused: Fault } | undefined> {
    if (!this.#api.mayRequest) return undefined;
    const path = reportPath(this.#child);
    const body = await pack(JSON.stringify(report));
    const answer = await this.#link.request(path, {
      method: 'POST',
      scope: `gateway:${this.#child}:message_write`,
      headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
      body: { ...bodyOf(body), slackMs: BODY_SLACK_MS },
      signal,
    });
    const { statusCode: status } = answer;
    if (status === 200 || status === 409) {
      const text = (await this.#link.read(answer, MAX_SMALL_ANSWER_BYTES, path)).toString('utf8');
      const conflict = conflictIn(status, text);
      if (conflict) {
        this.#activation.invalidate();
        throw activationRefused(this.#child, conflict);
      }
      const ack = readAs(ReportAck, text);
      if (ack) return { taken: status === 200, place: ack.place };
    } else {
      const fault = await refusalIn(answer, `POST ${path}`);
      throwIfTransient(fault);
      // Earlier versions refuse a body that arrives too slowly in this way: its content is not at fault.
      if (status === 400 && fault.detail?.reason === 'SIZE_INVALID') {
        throw new Fault('parent-unreachable', fault.message, { detail: fault.detail });
      }
      const hasContent = report.events.length > 0 || report.layers !== undefined;
      if (hasContent && CONTENT_REJECTED.includes(status)) return { refused: fault };
    }
    this.suspend();
    return undefined;
  }

  /**
   * Asks what the parent knows of the changes of this layer.
   * @returns undefined if it does not know, as it is no Terrace, or one of an earlier version
   * @throws Fault `parent-unreachable`, `busy`, `parent-refused`
   */
  async changes(query: ReportedQuery, signal: AbortSignal): Promise<ReportedChanges | undefined> {
    if (!this.#api.mayRequest) return undefined;
    const { since, until, after, layer } = query;
    const text = new URLSearchParams({ since: `${since}`, until: `${until}`, after: `${after}`, layer });
    const path = reportPath(this.#child);
    const scope = `gateway:${this.#child}:message_write`;
    const answer = await this.#link.request(`${path}?${text}`, { scope, signal });
    if (answer.statusCode === 200)
      return readAs(ReportedChanges, await this.#link.read(answer, MAX_PAGE_BYTES, path));
    throwIfTransient(await refusalIn(answer, `GET ${path}`));
    return undefined;
  }

  /** Sends no more reports to the parent for `RECHECK_MS`. */
  suspend(): void {
    this.#api.suspend();
  }
}
