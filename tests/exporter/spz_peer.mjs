// What the format's makers (npm @adobe/spz, the C++ library as WebAssembly) read in an SPZ: node spz_peer.mjs PACKAGES FILE
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [packages, file] = process.argv.slice(2);
const entry = createRequire(`${packages}/package.json`).resolve('@adobe/spz');
const spz = await (await import(pathToFileURL(entry))).default();
const cloud = spz.loadSpzFromBuffer(new Uint8Array(readFileSync(file)), { to: spz.CoordinateSystem.RUB });
const names = ['positions', 'scales', 'rotations', 'alphas', 'colors', 'sh'];
const arrays = Object.fromEntries(names.map((name) => [name, Array.from(cloud[name])]));
process.stdout.write(`\n@@${JSON.stringify({ count: cloud.numPoints, degree: cloud.shDegree, ...arrays })}`);
