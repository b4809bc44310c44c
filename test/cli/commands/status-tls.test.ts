import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { copyFile, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Authority } from '../../support/certificates.ts';
import { runCommandHere } from '../../support/command-line.ts';
import { testLayer } from '../../support/layer.ts';
import { until } from '../../support/until.ts';

test('a layer with TLS shows the end of its certificate, that of a renewed one, and its limit of the bandwidth', async () => {
  await using authority = await Authority.create();
  const tls = await authority.issue('layer', { days: 10 });
  await using layer = await testLayer({
    tls,
    parent: 'http://127.0.0.1:9',
    bandwidth: '2Mbit',
    compact: 'hosted',
  });
  const end = await endOf(tls.certificateFile);
  let text = '';
  const shows = async (part: string) => {
    ({ text } = await runCommandHere('status', '--data', layer.data));
    return text.includes(part);
  };
  await until(
    () => shows('bandwidth: limit 2 Mbit/s; '),
    () => `a syncer reports its limit:\n${text}`,
  );
  assert.match(text, new RegExp(`^Layer ".*" at ${layer.url} `, 'm'));
  assert.match(text, new RegExp(`^  certificate ends on ${end} UTC \\(in 9 d 23 h\\): renew it$`, 'm'));
  assert.match(text, /^ {2}bandwidth: limit 2 Mbit\/s; now nothing$/m);

  const next = await authority.issue('next', { days: 90 });
  await copyFile(next.keyFile, tls.keyFile);
  await copyFile(next.certificateFile, tls.certificateFile);
  const renewed = `  certificate ends on ${await endOf(next.certificateFile)} UTC (in 89 d 23 h)\n`;
  await until(
    () => shows(renewed),
    () => `${renewed} is shown:\n${text}`,
  );
});

/** As `terrace status` writes it, without the zone. */
async function endOf(certificateFile: string): Promise<string> {
  const { validTo } = new X509Certificate(await readFile(certificateFile));
  return new Date(validTo).toISOString().slice(0, 16).replace('T', ' ');
}
