import { faultCodes, faults } from '#proto/contract/fault.ts';
import { httpErrors } from '../../services/gateway/http/errors.ts';
import { code, page, table } from './markdown.ts';

/** docs/reference/faults.md */
export function faultsPage(): string {
  const rows = faultCodes.map((fault) => {
    const { status, code: oci, retryAfter } = httpErrors[fault];
    const again = retryAfter === undefined ? '' : `${retryAfter} s`;
    return [code(fault), String(status), code(oci), again, faults[fault]];
  });
  return page(
    'Faults',
    'For operators and integrators: what each fault code means, and what a client of the registry gets for it.',
    'A fault is a code from this closed list and one sentence for a person. It appears in events (`code`), in the answers of direct methods, and in the status of the link. The gateway answers a client with the HTTP status and the error code of the OCI distribution specification; the sentence is the `message` of that error. `Retry-After` is sent where the table has a time, and where the fault itself knows one.',
    table(['Code', 'HTTP', 'OCI error code', 'Retry-After', 'Meaning'], rows),
    'Codes of a link that are no faults: `pass-abandoned` (the coordinator that began the last pass did not end it), `changes-parked` (the parent refuses changes; everything else succeeded) and `not-heard` (a layer below is cut off).',
    'See also [events](events.md), [HTTP](http.md) and [troubleshooting](../operating/troubleshooting.md).',
  );
}
