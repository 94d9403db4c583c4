// Frames per second of several pages side by side: one fresh browser and profile per measurement, rounds interleaved.
// usage: CHROMIUM=... node measure.mjs ROOT ASSETS DRIVER ROUNDS SECONDS name=page ...   (prints one JSON object)
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';

const [root, assets, driver, rounds, seconds, ...pages] = process.argv.slice(2);
const drivers = {
  swiftshader: ['--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader'],
  llvmpipe: ['--use-gl=angle', '--use-angle=gl-egl', '--ignore-gpu-blocklist'],
};
const types = { '.html': 'text/html', '.js': 'text/javascript', '.json': 'application/json' };

const server = http.createServer((request, response) => {
  const name = decodeURIComponent(new URL(request.url, 'http://x').pathname);
  const folder = name.startsWith('/assets/') ? assets : root;
  const file = path.join(folder, name.startsWith('/assets/') ? name.slice(8) : name);
  fs.readFile(file, (error, bytes) => {
    response.statusCode = error ? 404 : 200;
    response.setHeader('content-type', types[path.extname(file)] ?? 'application/octet-stream');
    response.setHeader('cross-origin-opener-policy', 'same-origin');
    response.setHeader('cross-origin-embedder-policy', 'require-corp');
    response.end(bytes);
  });
});
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const address = `http://127.0.0.1:${server.address().port}/`;

const results = Object.fromEntries(pages.map((page) => [page.split('=')[0], []]));
for (let round = 0; round < Number(rounds); round++) {
  for (const entry of pages) {
    const name = entry.slice(0, entry.indexOf('='));
    const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'measure-'));
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: process.env.CHROMIUM,
      headless: true,
      viewport: { width: 512, height: 512 },
      args: ['--no-sandbox', '--disable-background-networking', '--no-first-run', '--disable-component-update', '--disable-sync', ...drivers[driver]],
      ignoreDefaultArgs: ['--disable-gpu'],
    });
    const page = context.pages()[0] ?? (await context.newPage());
    page.setDefaultTimeout(120000);
    const started = Date.now();
    await page.goto(address + entry.slice(entry.indexOf('=') + 1));
    await page.waitForFunction(() => window.__ready === true && window.__drawn.length > 0, null, { timeout: 110000 });
    const first = (Date.now() - started) / 1000;
    await page.waitForTimeout(4000);
    const before = await page.evaluate(() => [window.__drawn.length, performance.now()]);
    await page.waitForTimeout(Number(seconds) * 1000);
    const after = await page.evaluate(() => [window.__drawn.length, performance.now()]);
    results[name].push({ fps: (after[0] - before[0]) / ((after[1] - before[1]) / 1000), first_frame_s: first });
    if (process.env.SHOTS) await page.screenshot({ path: path.join(process.env.SHOTS, `${driver}-${name}.png`) });
    await context.close();
    fs.rmSync(profile, { recursive: true, force: true });
  }
}
server.close();
console.log(JSON.stringify(results));
