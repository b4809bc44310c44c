import { after } from 'node:test';
import { type Buses, connectAll } from './rig.ts';

/** A bus for all tests of a file, ended after them. */
export async function sharedBuses(): Promise<Buses> {
  const buses = await connectAll();
  after(() => buses.server[Symbol.asyncDispose]());
  return buses;
}
