/** An event as stored in the stream; `data` is its packed envelope. */
export type Stored = { sequence: number; subject: string; data: Uint8Array };

/** Sequences that the stream holds now: none if `last` < `first`. `made`: its creation time; a loss changes it. */
export type StreamBounds = { first: number; last: number; made: string };

export type ArchiveQuery = { from: From; subject: string | undefined; limit: number; waitMs: number };

/** The stream of events. */
export type Archive = {
  bounds(): Promise<StreamBounds>;
  /** Sequence of the last event of a subject, which may have wildcards. */
  last(subject: string): Promise<number | undefined>;
  /** Id of the event at this sequence; undefined if it is not retained. */
  idAt(sequence: number): Promise<string | undefined>;
  /**
   * Reads a page of events, of all subjects or of one. If none is stored, waits up to `waitMs` for one. A lost message
   * is an error.
   */
  read(query: ArchiveQuery): Promise<Stored[]>;
};

/** Where reading starts; `time` in ms since the epoch. */
export type From = { sequence: number } | { time: number };

/**
 * Whether the event is in the stream, or has expired from it. A restored stream may have another event there.
 * @param position `made`: creation time of the stream that had the event; absent if that does not matter
 * @param bounds of the stream now; read if absent
 */
export async function isInStream(
  archive: Archive,
  { made, sequence, id }: { made?: string; sequence: number; id: string },
  bounds?: StreamBounds,
): Promise<boolean> {
  const { made: current, first, last } = bounds ?? (await archive.bounds());
  if ((made !== undefined && made !== current) || sequence > last) return false;
  if (sequence < first) return true;
  const storedId = await archive.idAt(sequence);
  // Inside the stream, only trimmed events are missing.
  return storedId === undefined || storedId === id;
}
