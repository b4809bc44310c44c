import { resolve } from 'node:path';
import { personName } from '#proto/bus/caller.ts';
import { check } from '#proto/contract/contract.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type RepairAnswer, RepairRequest } from '#proto/volume/repair-request.ts';
import { Audit } from '../audit/audit.ts';
import { runAs } from '../audit/caller-context.ts';
import { isInterrupted } from './repair-folder.ts';
import { repairMetadata } from './repair-metadata.ts';
import { reportText } from './repair-report.ts';

/**
 * The process of `terrace repair`. Reads a `RepairRequest` as JSON from stdin and writes a `RepairAnswer` as JSON to
 * stdout. No other process has the metadata open meanwhile.
 */
const quiet = { debug() {}, info() {}, warn() {}, error() {} };

// The command that started this process holds the data folder for it, so this process ends with the command. A repair
// may be interrupted anywhere.
const end = () => process.kill(process.pid, 'SIGKILL');
process.once('disconnect', end);
process.channel?.unref();
if (process.connected === false) end();

process.umask(0o077);
let text = '';
for await (const part of process.stdin.setEncoding('utf8')) text += part;
let answer: RepairAnswer;
try {
  const request = check(RepairRequest, JSON.parse(text));
  const data = resolve(request.data);
  const work = () => repairMetadata({ ...request, data, now: new Date() });
  // With `checkOnly`, something changes only if an interrupted repair is finished.
  const isReading = request.checkOnly && !(await isInterrupted(data));
  const repaired = isReading ? await work() : await runAudited(data, work);
  answer = repaired.kind === 'done' ? { kind: 'done', text: reportText(repaired.report) } : repaired;
} catch (error) {
  const { code, message } = error as Error & { code?: string };
  answer = { kind: 'failed', why: Fault.is(error) || code ? message : `internal error: ${message}` };
}
process.stdout.write(JSON.stringify(answer));

/** Writes an entry to the audit before anything changes, and one after it. */
async function runAudited<T>(data: string, work: () => Promise<T>): Promise<T> {
  const { TERRACE_NAME: layer = 'layer', TERRACE_PERSON } = process.env;
  await using audit = new Audit({ data, layer, log: quiet, now: Date.now });
  const person = personName(TERRACE_PERSON ?? '');
  const caller = { user: 'operator' as const, account: '_operator', ...(person && { person }) };
  return await runAs(caller, () => audit.change({ action: 'metadata/repair' }, work));
}
