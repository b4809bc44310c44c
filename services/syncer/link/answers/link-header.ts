/**
 * The target of the link with `rel="next"` in a Link header (RFC 8288), such as
 * `</v2/_catalog?last=b&n=2>; rel="next"`. A single pass over the text, for any input that a parent sends. Pure.
 */
export function nextIn(header: string): string | undefined {
  for (let open = header.indexOf('<'); open >= 0; ) {
    const close = header.indexOf('>', open);
    if (close < 0) return undefined;
    const following = header.indexOf('<', close);
    const parameters = header.slice(close + 1, following < 0 ? undefined : following);
    if (parameters.split(/[;,]/).some(isNext)) return header.slice(open + 1, close);
    open = following;
  }
  return undefined;
}

function isNext(parameter: string): boolean {
  const [name = '', value = ''] = parameter.split('=', 2);
  const relations = value.trim().toLowerCase().replaceAll('"', '').split(' ');
  return name.trim().toLowerCase() === 'rel' && relations.includes('next');
}
