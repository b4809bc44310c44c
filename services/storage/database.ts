import { setTimeout as sleep } from 'node:timers/promises';
import { Level } from 'level';

/** @param deadline until when another process that has the folder open is waited for, in ms since 1970 */
export async function openDatabase(folder: string, deadline: number): Promise<Level<string, unknown>> {
  for (;;) {
    const db = new Level<string, unknown>(folder, { valueEncoding: 'json' });
    try {
      await db.open();
      return db;
    } catch (error) {
      const cause = (error as Error).cause as NodeJS.ErrnoException | undefined;
      if (cause?.code !== 'LEVEL_LOCKED') throw cause ?? error;
      if (Date.now() >= deadline) {
        throw new Error(
          `another storage service uses this data volume (${folder} is locked): stop it, or give this one a data volume of its own`,
          { cause },
        );
      }
      await sleep(200);
    }
  }
}
