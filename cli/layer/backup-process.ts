import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { BackupTask, BackupTaskAnswer, BackupTaskOutput } from '#proto/volume/backup-task.ts';
import { currentUser } from '../data/current-user.ts';
import { NODE_ENV, NODE_FLAGS } from '../data/node.ts';
import { Refusal } from '../terminal/refusal.ts';
import type { BackupProgress } from '../text/backup/backup-status-text.ts';

const MAIN = join(import.meta.dirname, '../../services/storage/backup/main.ts');

/** Works on backups without a layer, in a process of its own: only storage knows the format. @throws Refusal */
export async function runBackupProcess<K extends BackupTaskAnswer['kind']>(
  task: BackupTask,
  kind: K,
  onProgress: (progress: BackupProgress) => void,
): Promise<Extract<BackupTaskAnswer, { kind: K }>> {
  const child = spawn(process.execPath, [...NODE_FLAGS, MAIN], {
    env: { ...process.env, ...NODE_ENV, TERRACE_PERSON: currentUser() },
    // The child ends when the IPC channel closes: this process may hold a data folder.
    stdio: ['pipe', 'pipe', 'inherit', 'ipc'],
  });
  const closed = new Promise((done) => child.on('close', (status, signal) => done(signal ?? status)));
  child.stdin?.on('error', () => {});
  child.stdin?.end(JSON.stringify(task));
  let answer: BackupTaskAnswer | undefined;
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    const output = JSON.parse(line) as BackupTaskOutput;
    if ('progress' in output) onProgress(output.progress);
    else answer = output;
  }
  const code = await closed;
  if (answer?.kind === kind) return answer as Extract<BackupTaskAnswer, { kind: K }>;
  throw new Refusal(
    answer?.kind === 'failed' ? answer.why : `the work on the backups ended with ${code}: run it again`,
  );
}
