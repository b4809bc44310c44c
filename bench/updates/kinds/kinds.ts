import { binaries } from './binaries.ts';
import { apt, aptFew, debian, javaRuntime, postgres } from './distribution.ts';
import { fatJar, jars } from './java.ts';
import type { Kind } from './kind.ts';
import { layers60 } from './layers.ts';
import { model } from './model.ts';
import { baseAndApplication, nodeModules, nodeModulesClamped, nodeRuntime, times } from './node.ts';
import { pythonPackages } from './python.ts';

/**
 * The kinds of updates, from packages of Debian and npm.
 *
 *   kind.ts           what a kind is
 *   distribution.ts   a base image, and layers of apt-get install
 *   node.ts           node_modules, node
 *   java.ts, python.ts, binaries.ts, model.ts
 *   layers.ts         an image of many layers
 */
export const kinds: readonly Kind[] = [
  debian,
  apt,
  aptFew,
  postgres,
  javaRuntime,
  nodeRuntime,
  nodeModules,
  nodeModulesClamped,
  times,
  baseAndApplication,
  layers60,
  jars,
  fatJar,
  pythonPackages,
  ...binaries,
  model,
];
