/** Groups of paths, by which requests are counted. Pure. */

const classes: [route: string, pattern: RegExp][] = [
  ['health', /^\/healthz$/],
  ['metrics', /^\/metrics$/],
  ['api', /^\/api\//],
  ['page', /^\/(ui(\/|$)|$|favicon)/],
  ['token', /token$/],
  ['base', /^\/v2\/?$/],
  ['catalog', /^\/v2\/_catalog$/],
  ['feed', /^\/v2\/_terrace\/changes$/],
  ['report', /^\/v2\/_terrace\/children\/[^/]+\/events$/],
  ['child', /^\/v2\/_terrace\/children\//],
  ['arriving', /^\/v2\/_terrace\/arriving/],
  ['delta', /^\/v2\/_terrace\/deltas/],
  ['upload', /\/blobs\/uploads(\/|$)/],
  ['blob', /\/blobs\//],
  ['manifest', /\/manifests\//],
  ['tags', /\/tags\/list$/],
  ['referrers', /\/referrers\//],
];

/** All values of the label `route`. */
export const routes = [...classes.map(([route]) => route), 'other'];

/** @param url of a route, with its parameters, such as `/v2/:name/manifests/:reference` */
export const routeOf = (url: string): string =>
  classes.find(([, pattern]) => pattern.test(url))?.[0] ?? 'other';
