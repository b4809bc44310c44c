import { resolve } from 'node:path';
import { personName } from '#proto/bus/caller.ts';
import { check } from '#proto/contract/contract.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type RepairAnswer, RepairRequest } from '#proto/volume/repair-request.ts';
import { runAs } from '../audit/asking.ts';
import { Audit } from '../audit/audit.ts';
import { isCutOff } from './place.ts';
import { repair } from './repair.ts';
import { textOf } from './report.ts';

/**
 * The process of `terrace repair`: it is told what to do on stdin, as JSON, and answers on stdout. Nobody has the
 * metadata open meanwhile.
 */
const quiet = { debug() {}, info() {}, warn() {}, error() {} };

// Whoever started this holds the data folder for it. A repair may be cut off anywhere.
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
  const work = () => repair({ ...request, data, now: new Date() });
  // Only a look that finishes a repair that was cut off changes anything.
  const isReading = request.look && !(await isCutOff(data));
  const repaired = isReading ? await work() : await audited(data, work);
  answer = repaired.kind === 'done' ? { kind: 'done', text: textOf(repaired.report) } : repaired;
} catch (error) {
  const { code, message } = error as Error & { code?: string };
  answer = { kind: 'failed', why: Fault.is(error) || code ? message : `internal error: ${message}` };
}
process.stdout.write(JSON.stringify(answer));

/** Before anything is changed, and after it. */
async function audited<T>(data: string, work: () => Promise<T>): Promise<T> {
  const { TERRACE_NAME: layer = 'layer', TERRACE_PERSON } = process.env;
  await using audit = new Audit({ data, layer, log: quiet, now: Date.now });
  const person = personName(TERRACE_PERSON ?? '');
  const caller = { user: 'operator' as const, account: '_operator', ...(person && { person }) };
  return await runAs(caller, () => audit.change({ action: 'metadata/repair' }, work));
}
