import { cp, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../run-program.ts';
import { packageFiles } from '../sources/debian.ts';
import { stateOf } from './distribution.ts';
import { BASE, type Kind, type Place, type Version } from './kind.ts';

/** Libraries of a web application; some of them have updates. */
const PACKAGES = [
  'libtomcat10-java',
  'libspring-core-java',
  'libspring-web-java',
  'libspring-context-java',
  'libjackson2-databind-java',
  'libjackson2-core-java',
  'libjackson2-annotations-java',
  'libguava-java',
  'libnetty-java',
  'liblog4j2-java',
  'libbcprov-java',
  'libcommons-compress-java',
  'libcommons-lang3-java',
  'libh2-java',
  'libhibernate-validator-java',
];

const JARS = 'usr/share/java';

/** Copies the libraries, each once: `name.jar` is a link to `name-version.jar`. */
async function addLibraries(into: string, { sources, version }: Place): Promise<void> {
  const files = await packageFiles(sources, 'java-libraries', PACKAGES, stateOf(version));
  await mkdir(into, { recursive: true });
  for (const entry of await readdir(join(files, JARS), { withFileTypes: true })) {
    if (entry.isFile() && entry.name.endsWith('.jar'))
      await cp(join(files, JARS, entry.name), join(into, entry.name), { preserveTimestamps: true });
  }
}

/** Compiles the application. @returns folder of its classes */
async function compile(folder: string, version: Version): Promise<string> {
  const classes = join(folder, 'classes');
  const source = join(folder, 'org/example/Service.java');
  await mkdir(join(folder, 'org/example'), { recursive: true });
  await writeFile(source, sourceOf(version));
  await run('javac', ['-d', classes, source]);
  await rm(join(folder, 'org'), { recursive: true });
  return classes;
}

/** Twelve handlers of requests, and one that is new since `v2`. */
function sourceOf(version: Version): string {
  const names = Array.from({ length: version === 'v1' ? 12 : 13 }, (_, at) => `handler${at}`);
  const handlers = names.map(
    (name, at) => `  static String ${name}(java.util.Map<String, String> request) {
    var answer = new StringBuilder("${name}:");
    for (var entry : request.entrySet()) answer.append(entry.getKey()).append('=').append(entry.getValue().length() * ${at + 3});
    return answer.append("; ${name} has answered").toString();
  }`,
  );
  const calls = names.map((name) => `    System.out.println(${name}(System.getenv()));`);
  return `package org.example;\npublic class Service {\n${handlers.join('\n')}
  public static void main(String[] arguments) {\n${calls.join('\n')}\n  }\n}\n`;
}

export const jars: Kind = {
  name: 'java-jars',
  change: 'libraries as jars, one updated; own jar rebuilt',
  fill: async (place) => {
    await addLibraries(join(place.folder, 'lib'), place);
    const classes = await compile(place.folder, place.version);
    await run('jar', ['--create', '--file', join(place.folder, 'app.jar'), '-C', classes, '.']);
    await rm(classes, { recursive: true });
    return `FROM ${BASE}\nCOPY lib app.jar /app/\nCMD ["java", "-cp", "/app/*", "org.example.Service"]\n`;
  },
};

export const fatJar: Kind = {
  name: 'java-fat-jar',
  change: 'one jar of all classes, of which one is new',
  fill: async (place) => {
    const libraries = join(place.folder, 'lib');
    await addLibraries(libraries, { ...place, version: 'v1' });
    const classes = await compile(place.folder, place.version);
    for (const name of (await readdir(libraries)).sort())
      await run('jar', ['--extract', '--file', join(libraries, name)], { cwd: classes });
    await run('jar', ['--create', '--file', join(place.folder, 'app.jar'), '-C', classes, '.']);
    for (const each of [libraries, classes]) await rm(each, { recursive: true });
    return `FROM ${BASE}\nCOPY app.jar /app/\nCMD ["java", "-cp", "/app/app.jar", "org.example.Service"]\n`;
  },
};
