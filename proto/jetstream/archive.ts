/** One event as the stream has it. */
export type Stored = { sequence: number; subject: string; data: Uint8Array };

/** The stream as it is now: `made` is another where the store was lost meanwhile; an empty one has `last` < `first`. */
export type Kept = { first: number; last: number; made: string };

export type PageQuery = { from: From; subject: string | undefined; limit: number; waitMs: number };

export type Archive = {
  kept(): Promise<Kept>;
  /** The sequence of the last one there is of a subject, wildcards and all. */
  last(subject: string): Promise<number | undefined>;
  /** The id of the event at this sequence, where it is kept. */
  idAt(sequence: number): Promise<string | undefined>;
  /** A page of events, all or those of a subject; where there are none, it waits for one. One that is lost on its way is an error. */
  read(query: PageQuery): Promise<Stored[]>;
};

export type From = { sequence: number } | { time: number };
