// Several pages side by side: one fresh browser and profile per measurement, rounds interleaved.
// usage: CHROMIUM=... node measure.mjs ROOT ASSETS DRIVER ROUNDS SECONDS name=page ...   (prints one JSON object)
// Per run: frames per second, processor milliseconds a frame (of every process of the browser: on software drivers, what others
// do on the machine changes it least), script milliseconds a frame (what the page's own thread worked for its scripts, not how
// long they waited for drivers that draw on the same cores; and as the page sees it, waiting included, median), seconds and bytes to the first picture (text gzipped, as
// servers send it; expression tracks, clips and cameras not counted), JavaScript heap and bytes on the card.
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';
import { chromium } from 'playwright-core';

const [root, assets, driver, rounds, seconds, ...pages] = process.argv.slice(2);
const WARM_MS = 3000;
const drivers = {
  swiftshader: ['--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader'],
  llvmpipe: ['--use-gl=angle', '--use-angle=gl-egl', '--ignore-gpu-blocklist'],
};
const types = { '.html': 'text/html', '.js': 'text/javascript', '.json': 'application/json', '.wasm': 'application/wasm' };
const packed = new Map();
let sent = {};

const server = http.createServer((request, response) => {
  const name = decodeURIComponent(new URL(request.url, 'http://x').pathname);
  const folder = name.startsWith('/assets/') ? assets : root;
  const file = path.join(folder, name.startsWith('/assets/') ? name.slice(8) : name);
  fs.readFile(file, (error, bytes) => {
    const type = types[path.extname(file)];
    response.statusCode = error ? 404 : 200;
    response.setHeader('content-type', type ?? 'application/octet-stream');
    response.setHeader('cross-origin-opener-policy', 'same-origin');
    response.setHeader('cross-origin-embedder-policy', 'require-corp');
    if (error) return response.end();
    if (type) {
      if (!packed.has(file)) packed.set(file, zlib.gzipSync(bytes, { level: 9 }));
      bytes = packed.get(file);
      response.setHeader('content-encoding', 'gzip');
    }
    sent[name] = bytes.length;
    response.end(bytes);
  });
});
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const address = `http://127.0.0.1:${server.address().port}/`;
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

async function measure(address, shot) {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'measure-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM,
    headless: true,
    viewport: { width: 512, height: 512 },
    args: ['--no-sandbox', '--disable-background-networking', '--no-first-run', '--disable-component-update', '--disable-sync', '--enable-blink-features=ForceEagerMeasureMemory', ...drivers[driver]],
    ignoreDefaultArgs: ['--disable-gpu'],
  });
  try {
    const page = context.pages()[0] ?? (await context.newPage());
    page.setDefaultTimeout(60000);
    page.on('pageerror', (error) => console.error(String(error)));
    const devtools = await context.browser().newBrowserCDPSession();
    const inside = await context.newCDPSession(page);
    await inside.send('Performance.enable', { timeDomain: 'threadTicks' });
    const worked = async () => (await inside.send('Performance.getMetrics')).metrics.find(({ name }) => name === 'ScriptDuration').value;
    sent = {};
    await page.goto(address);
    await page.waitForFunction(() => window.__first !== undefined);
    const bytes = Object.entries(sent).reduce((sum, [name, size]) => sum + (name.startsWith('/assets/') && name.endsWith('.json') ? 0 : size), 0);
    await page.waitForTimeout(WARM_MS);
    const busy = async () => (await devtools.send('SystemInfo.getProcessInfo')).processInfo.reduce((sum, { cpuTime }) => sum + cpuTime, 0);
    const cpuBefore = await busy();
    const workedBefore = await worked();
    const before = await page.evaluate(() => [window.__drawn.length, performance.now()]);
    await page.waitForTimeout(Number(seconds) * 1000);
    const after = await page.evaluate(() => [window.__drawn.length, performance.now(), window.__first, window.__script.slice(-200), window.__gpuBytes(), window.__stats?.() ?? null]);
    const cpu = (await busy()) - cpuBefore;
    const scripts = (await worked()) - workedBefore;
    if (shot) await page.screenshot({ path: shot });
    // Everything that scripts of this page and its workers hold, array buffers included.
    const heap = await page.evaluate(async () => (await performance.measureUserAgentSpecificMemory()).bytes);
    return {
      fps: (after[0] - before[0]) / ((after[1] - before[1]) / 1000),
      cpu_ms: (cpu * 1000) / Math.max(after[0] - before[0], 1),
      first_s: after[2] / 1000,
      script_ms: (scripts * 1000) / Math.max(after[0] - before[0], 1),
      waiting_ms: median(after[3]),
      bytes,
      heap_mb: heap / 1e6,
      gpu_mb: after[4] / 1e6,
      stats: after[5],
    };
  } finally {
    await context.close();
    fs.rmSync(profile, { recursive: true, force: true });
  }
}

const results = Object.fromEntries(pages.map((page) => [page.split('=')[0], []]));
for (let round = 0; round < Number(rounds); round++) {
  for (const entry of pages) {
    const name = entry.slice(0, entry.indexOf('='));
    const shot = process.env.SHOTS && path.join(process.env.SHOTS, `${driver}-${name}.png`);
    results[name].push(await measure(address + entry.slice(entry.indexOf('=') + 1), shot));
  }
}
server.close();
console.log(JSON.stringify(results));
