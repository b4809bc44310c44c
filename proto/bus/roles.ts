import type { Static, TSchema } from '@sinclair/typebox';
import type { Request } from '../contract/contract.ts';
import type { Archive } from '../jetstream/archive.ts';
import type { ConsumerName } from '../jetstream/streams.ts';
import type { RequestSender } from './caller.ts';
import type { Events } from './events.ts';
import type { HistoryOptions, Past } from './history.ts';
import type { Invalidations } from './invalidations.ts';
import type { Jobs } from './jobs.ts';
import type { Relay } from './relay.ts';
import type { Requester } from './requester.ts';
import type { States } from './states.ts';

/**
 * Roles of the bus: what a part of a service does with it. A part names the roles that it needs, such as
 * `BusCaller & StateReader`; `Bus` has all of them, and its methods are documented there and at the classes below.
 */

/** Everything that a process does with its bus. */
export interface BusRoles
  extends BusCaller,
    RequestServer,
    EventPublisher,
    EventListener,
    NewsListener,
    HistoryReader,
    EventRelay,
    InvalidationListener,
    JobSubmitter,
    StateReader,
    StateLister,
    StateWriter,
    StateWatcher,
    RoundTrip,
    ReconnectListener {}

/** Sends requests. */
export interface BusCaller {
  call: Requester['call'];
}

/** Answers requests. */
export interface RequestServer {
  serve<Q extends TSchema, R extends TSchema>(
    contract: Request<Q, R>,
    handler: (query: Static<Q>, caller: RequestSender) => Promise<Static<R>>,
  ): () => Promise<void>;
}

/** Publishes events. */
export interface EventPublisher {
  readonly publish: Events['publish'];
}

/** Receives the events of one type as they happen. */
export interface EventListener {
  readonly listen: Events['listen'];
}

/** Learns that anything happened, here or in a layer below. */
export interface NewsListener {
  onNews(handler: () => void): () => void;
}

/** Reads the retained events. */
export interface HistoryReader {
  readonly archive: Archive;
  history(options: HistoryOptions): AsyncGenerator<Past>;
}

/** Stores and reads the events of the layers below. */
export interface EventRelay {
  readonly relay: Relay;
}

/** Invalidates what it caches. */
export interface InvalidationListener {
  readonly onInvalidation: Invalidations['onInvalidation'];
  readonly onGap: Invalidations['onGap'];
}

/** Submits jobs. */
export interface JobSubmitter {
  readonly submit: Jobs['submit'];
  backlog(queue: ConsumerName): Promise<number>;
}

/** Reads a state. */
export interface StateReader {
  readonly get: States['get'];
}

/** Reads all entries of a state. */
export interface StateLister {
  readonly list: States['list'];
  readonly unreadable: States['unreadable'];
}

/** Writes states. */
export interface StateWriter {
  readonly put: States['put'];
  readonly swap: States['swap'];
  readonly remove: States['remove'];
}

/** Follows states. */
export interface StateWatcher {
  readonly watch: States['watch'];
}

/** Learns that messages may have been missed. */
export interface ReconnectListener {
  onReconnect(handler: () => void): () => void;
}

/** Waits for a round trip to the server. */
export interface RoundTrip {
  flush(): Promise<void>;
}
