import { resolve } from 'node:path';
import { check } from '#proto/contract.ts';
import { Fault } from '#proto/fault.ts';
import { type RepairAnswer, RepairRequest } from '#proto/repair.ts';
import { repair } from './repair.ts';
import { textOf } from './report.ts';

/**
 * The process of `terrace repair`: it is told what to do on stdin, as JSON, and answers on stdout. Nobody has the
 * metadata open meanwhile.
 */
process.umask(0o077);
let text = '';
for await (const part of process.stdin.setEncoding('utf8')) text += part;
let answer: RepairAnswer;
try {
  const request = check(RepairRequest, JSON.parse(text));
  const repaired = await repair({ ...request, data: resolve(request.data), now: new Date() });
  answer = repaired.kind === 'done' ? { kind: 'done', text: textOf(repaired.report) } : repaired;
} catch (error) {
  const { code, message } = error as Error & { code?: string };
  answer = { kind: 'failed', why: Fault.is(error) || code ? message : `internal error: ${message}` };
}
process.stdout.write(JSON.stringify(answer));
