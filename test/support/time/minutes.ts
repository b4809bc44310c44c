/**
 * A schedule and its window, reckoned minute by minute from what cron says of its five fields: each is a list of
 * numbers, ranges and steps; days of the month and of the week, where both are given, are either of them.
 */
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

type Field = { any: boolean; has: (value: number) => boolean };

function fieldOf(text: string, least: number, most: number): Field {
  const values = new Set<number>();
  for (const part of text.split(',')) {
    const [range = '', step = '1'] = part.split('/');
    const [from, to] = range === '*' ? [least, most] : range.split('-').map(Number);
    for (
      let value = from as number;
      value <= (to ?? (part.includes('/') ? most : (from as number)));
      value += Number(step)
    ) {
      values.add(value % (most === 7 ? 7 : Number.POSITIVE_INFINITY));
    }
  }
  return { any: text === '*', has: (value) => values.has(value) };
}

export class Minutes {
  readonly #from: number;
  /** By minute: the schedule says it. */
  readonly #times: Uint8Array;
  /** By minute: the window is open in all of it. */
  readonly #open: Uint8Array | undefined;

  /** Of the instants from `from` to `to`, whole minutes in ms since 1970. @param windowMs whole minutes, in ms */
  constructor(schedule: string, windowMs: number | undefined, from: number, to: number) {
    const [minute, hour, day, month, weekday] = schedule.split(' ') as [
      string,
      string,
      string,
      string,
      string,
    ];
    const fields = {
      minute: fieldOf(minute, 0, 59),
      hour: fieldOf(hour, 0, 23),
      day: fieldOf(day, 1, 31),
      month: fieldOf(month, 1, 12),
      weekday: fieldOf(weekday, 0, 7),
    };
    this.#from = from - 9 * DAY;
    const count = (to - this.#from) / MINUTE;
    this.#times = new Uint8Array(count);
    const open = windowMs === undefined ? undefined : new Uint8Array(count);
    for (let at = 0, today = false, until = 0; at < count; at += 1) {
      const instant = this.#from + at * MINUTE;
      const ofDay = (instant % DAY) / MINUTE;
      if (ofDay === 0 || at === 0) {
        const date = new Date(instant);
        const byMonth = fields.day.has(date.getUTCDate());
        const byWeek = fields.weekday.has(date.getUTCDay());
        const either = fields.day.any || fields.weekday.any ? byMonth && byWeek : byMonth || byWeek;
        today = fields.month.has(date.getUTCMonth() + 1) && either;
      }
      if (today && fields.hour.has(Math.floor(ofDay / 60)) && fields.minute.has(ofDay % 60)) {
        this.#times[at] = 1;
        until = instant + (windowMs ?? 0);
      }
      if (open && instant < until) open[at] = 1;
    }
    this.#open = open;
  }

  /** May the link be used at this instant? */
  usable(instant: number): boolean {
    return this.#open === undefined || this.#open[Math.floor((instant - this.#from) / MINUTE)] === 1;
  }

  /** Does a pass begin in this whole minute: by the schedule, or in each minute of an open window? */
  due(instant: number): boolean {
    return (this.#open ?? this.#times)[(instant - this.#from) / MINUTE] === 1;
  }
}
