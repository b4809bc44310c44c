import { Cron } from 'croner';

/** Whether the text is cron with five fields that matches some future time. */
export function runsEver(schedule: string): boolean {
  if (schedule.trim().split(/\s+/).length !== 5) return false;
  try {
    return new Cron(schedule, { paused: true, timezone: 'UTC' }).nextRun() !== null;
  } catch {
    return false;
  }
}
