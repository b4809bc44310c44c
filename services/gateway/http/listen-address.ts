import { Fault } from '#proto/contract/fault.ts';

/** Host and port of `host:port`, also with an IPv6 address in brackets. @throws Fault `config-invalid` */
export function parseListen(listen: string): { host: string; port: number } {
  const colon = listen.lastIndexOf(':');
  const port = Number(listen.slice(colon + 1));
  const host = listen.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  if (colon < 1 || !Number.isInteger(port) || port > 65_535) {
    throw new Fault('config-invalid', `cannot listen on ${listen}: write host:port, as in 127.0.0.1:5000`);
  }
  return { host, port };
}

/** Why it cannot listen there, with the remedy. */
export function listenComplaint({ code, message }: NodeJS.ErrnoException, listen: string): string {
  if (code === 'EADDRINUSE') {
    return `cannot listen on ${listen}: the address is in use; stop the other process, or choose another address`;
  }
  if (code === 'EACCES') return `cannot listen on ${listen}: permission denied; choose a port above 1023`;
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return `cannot listen on ${listen}: this machine has no such address`;
  }
  return message;
}
