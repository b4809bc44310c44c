import { personName } from '#proto/bus/caller.ts';
import { check } from '#proto/contract/contract.ts';
import { Fault } from '#proto/contract/fault.ts';
import { BackupTask, type BackupTaskAnswer, type BackupTaskOutput } from '#proto/volume/backup-task.ts';
import { Audit } from '../audit/audit.ts';
import { runAs } from '../audit/caller-context.ts';
import { targetFault } from './target/target-faults.ts';
import { runBackupTask } from './tasks.ts';

/**
 * The process of `terrace backup list|check|prune` and of `terrace restore`: reads a `BackupTask` as JSON from stdin,
 * and writes `BackupTaskOutput` to stdout. It may be interrupted anywhere.
 */

// The command that started this process holds the data folder for it, so this process ends with the command.
const end = () => process.kill(process.pid, 'SIGKILL');
process.once('disconnect', end);
process.channel?.unref();
if (process.connected === false) end();

/** Min interval between lines about the progress, in ms. */
const INTERVAL_MS = 200;

const write = (output: BackupTaskOutput) => process.stdout.write(`${JSON.stringify(output)}\n`);

process.umask(0o077);
let text = '';
for await (const part of process.stdin.setEncoding('utf8')) text += part;
let writtenAt = 0;
let answer: BackupTaskAnswer;
let source = '';
try {
  const task = check(BackupTask, JSON.parse(text));
  source = task.source;
  answer = await runBackupTask(task, (progress) => {
    const now = performance.now();
    if (now - writtenAt < INTERVAL_MS) return;
    writtenAt = now;
    write({ progress });
  });
  if (answer.kind === 'restored' && task.task === 'restore') await recordRestore(task.data, answer);
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException;
  const isKnown = Fault.is(error) || code !== undefined;
  const why = isKnown ? (targetFault(error, source) as Error).message : `internal error: ${message}`;
  answer = { kind: 'failed', why };
}
write(answer);

/** The first entry in the audit of the restored layer: what was there before it is not restored. */
async function recordRestore(data: string, restored: Extract<BackupTaskAnswer, { kind: 'restored' }>) {
  const { TERRACE_PERSON } = process.env;
  const { id, layer, blobs, missing } = restored;
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  await using audit = new Audit({ data, layer, log, now: Date.now });
  const person = personName(TERRACE_PERSON ?? '');
  const caller = { user: 'operator' as const, account: '_operator', ...(person && { person }) };
  const detail = { backup: id, blobs, missing: missing.blobs };
  await runAs(caller, () => audit.record({ action: 'backup/restore', outcome: 'done', subject: id, detail }));
}
