import type { Subject } from '../subject/subject.ts';
import { causeAndRemedy, fault, type Verdict } from '../verdict/check.ts';

/** The configuration document. */

export async function checkConfiguration({ configuration, complaints, source }: Subject): Promise<Verdict> {
  if (!configuration && complaints.length === 0) return { unchecked: `the configuration is ${source}` };
  return configurationVerdict(complaints, source);
}

/** @param source where the configuration is from, for a person. Pure. */
export function configurationVerdict(complaints: readonly string[], source: string): Verdict {
  const findings = complaints.map((complaint) => {
    const { what, remedy } = causeAndRemedy(complaint);
    return fault(what, remedy);
  });
  return { about: source, findings };
}
