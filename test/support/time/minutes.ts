/**
 * A reference implementation of a schedule and its window, computed minute by minute from the five fields of cron. Each
 * field is a list of numbers, ranges and steps. If days of the month and days of the week are given, either matches.
 */
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

type Field = { any: boolean; has: (value: number) => boolean };

function fieldOf(text: string, min: number, max: number): Field {
  const values = new Set<number>();
  for (const part of text.split(',')) {
    const [range = '', step = '1'] = part.split('/');
    const [from, to] = range === '*' ? [min, max] : range.split('-').map(Number);
    for (
      let value = from as number;
      value <= (to ?? (part.includes('/') ? max : (from as number)));
      value += Number(step)
    ) {
      values.add(value % (max === 7 ? 7 : Number.POSITIVE_INFINITY));
    }
  }
  return { any: text === '*', has: (value) => values.has(value) };
}

export class ScheduleModel {
  readonly #from: number;
  /** For each minute: 1 if it matches the schedule. */
  readonly #times: Uint8Array;
  /** For each minute: 1 if the window is open in all of it. */
  readonly #open: Uint8Array | undefined;

  /** Covers the time from `from` to `to`, full minutes in ms since 1970. @param windowMs full minutes, in ms */
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
    for (let at = 0, dayMatches = false, until = 0; at < count; at += 1) {
      const instant = this.#from + at * MINUTE;
      const minuteOfDay = (instant % DAY) / MINUTE;
      if (minuteOfDay === 0 || at === 0) {
        const date = new Date(instant);
        const isDayOfMonth = fields.day.has(date.getUTCDate());
        const isWeekday = fields.weekday.has(date.getUTCDay());
        const isDay =
          fields.day.any || fields.weekday.any ? isDayOfMonth && isWeekday : isDayOfMonth || isWeekday;
        dayMatches = fields.month.has(date.getUTCMonth() + 1) && isDay;
      }
      if (
        dayMatches &&
        fields.hour.has(Math.floor(minuteOfDay / 60)) &&
        fields.minute.has(minuteOfDay % 60)
      ) {
        this.#times[at] = 1;
        until = instant + (windowMs ?? 0);
      }
      if (open && instant < until) open[at] = 1;
    }
    this.#open = open;
  }

  /** Whether the link may be used at this instant. */
  isOpen(instant: number): boolean {
    return this.#open === undefined || this.#open[Math.floor((instant - this.#from) / MINUTE)] === 1;
  }

  /** Whether a pass begins in this full minute: by the schedule, or in each minute of an open window. */
  isDue(instant: number): boolean {
    return (this.#open ?? this.#times)[(instant - this.#from) / MINUTE] === 1;
  }
}
