// Drives the built viewer in headless Chromium: `node browser.mjs JOB.json`, and prints one JSON object.
//
// The job: { chromium, packages (web_viewer/package.json), dist, files, out, driver: "swiftshader" | "llvmpipe",
// flags (more of the browser's), mounts (name to a further folder beside the page), tasks }.
// The page is served from a sub-path on the loopback address; what a task reads back is written to `out` as
// little-endian numbers. Tasks are one of
//   { kind: "pictures" | "world", name, avatar, clip, camera, moments, near, exact }
//   { kind: "page", name, width, height, query, ready, steps, wait, tell }: opens the page itself, waits for the
//   expression `ready`, runs the scripts `steps` ({ press: KEY }, { type: TEXT }, { click: SELECTOR }, { drag: [x, y, x, y] },
//   { move: [x, y] }, { pinch: [x, y, from, to] }, { fingers: [WAY, ...] }, { tap: SELECTOR }, { open: [FILES], into: SELECTOR } and { drop: [FILES] } are
//   what a person does, { until: EXPRESSION } waits; { resize: [width, height] } turns a phone; a WAY is [x, y, x, y] or
//   [SELECTOR, x, y, x, y] in shares of that element's box), waits for `wait`, reports what the expression `tell` gives, and takes a screenshot. `scheme` is "light" or "dark", `motion`
//   "reduce"; `touch` makes it a phone with so many pixels per CSS pixel, `safe` its insets; `axe` adds what axe-core finds as `axe`. Files below `slow/` stop coming in their middle. What the page lets a
//   person download is written to `out`.
//   { kind: "open", name, query, csp }: opens a page under a content security policy, which keeps our scripts out too; the
//   page itself puts what it has to say into `out/NAME.json`.
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { createRequire } from "node:module";

const job = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const require = createRequire(job.packages);
const { chromium } = require("playwright-core");

const PREFIX = "/some/where/viewer/";
const TYPES = {
  ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json", ".wasm": "application/wasm",
};
const DRIVERS = {
  swiftshader: ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
  llvmpipe: ["--use-gl=angle", "--use-angle=gl-egl", "--ignore-gpu-blocklist"],
};

let policy = "";

function serve() {
  const server = http.createServer((request, response) => {
    const at = decodeURIComponent(new URL(request.url, "http://x").pathname);
    if (request.method === "PUT" && at.startsWith(`${PREFIX}out/`)) {
      request.pipe(fs.createWriteStream(path.join(job.out, path.basename(at)))).on("finish", () => response.end());
      return;
    }
    if (at === "/favicon.ico") return response.writeHead(204).end();
    if (!at.startsWith(PREFIX)) return response.writeHead(404).end();
    const rest = at.slice(PREFIX.length) || "index.html";
    const [name, ...inner] = rest.split("/");
    const mounts = { files: job.files, slow: job.files, ...job.mounts };
    const file = inner.length && mounts[name] ? path.join(mounts[name], ...inner) : path.join(job.dist, rest);
    fs.readFile(file, (error, data) => {
      if (error) return response.writeHead(404).end();
      const type = TYPES[path.extname(file)] ?? "application/octet-stream";
      const headers = { "content-type": type, "content-length": data.length };
      if (policy) headers["content-security-policy"] = policy;
      response.writeHead(200, headers);
      if (name === "slow") response.write(data.subarray(0, data.length / 2));
      else response.end(data);
    });
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

// Runs in the page: loads an avatar into a canvas of its own and sends back what it drew, moment by moment.
async function play(task) {
  const { loadAvatar, Player } = window.flameport;
  const json = async (name) => (await fetch(`files/${name}`)).json();
  const camera = await json(task.camera);
  const canvas = Object.assign(document.createElement("canvas"), { width: camera.width, height: camera.height });
  const player = new Player(canvas, { near: task.near, exact: task.exact });
  player.setAvatar(await loadAvatar(`files/${task.avatar}`));
  if (task.clip) player.setSequence(await json(task.clip));
  player.setCamera(camera);
  const put = (name, data) => fetch(`out/${task.name}.${name}`, { method: "PUT", body: data });
  const canvases = [];
  for (const [i, t] of task.moments.entries()) {
    player.seek({ frame: t });
    if (task.kind === "world") {
      const { means, covariances, opacities, rgb } = await player.readWorld();
      await put(`${i}.f32`, new Blob([means, covariances, opacities, rgb]));
      continue;
    }
    await put(`${i}.half.f32`, await player.readPixels({ half: true }));
    await put(`${i}.canvas.u8`, await player.readPixels());
    canvases.push(player.stats);
  }
  player.dispose();
  return canvases;
}

/** Fingers go from one place to another, all at once, as the browser's own gestures want them: by and by. */
async function fingers(page, given, steps = 6) {
  const ways = await page.evaluate(
    (all) =>
      all.map(([first, ...rest]) => {
        if (typeof first === "number") return [first, ...rest];
        const { left, top, width, height } = document.querySelector(first).getBoundingClientRect();
        return rest.map((share, i) => (i % 2 ? top + share * height : left + share * width));
      }),
    given,
  );
  const session = await page.context().newCDPSession(page);
  const touch = (type, share) =>
    session.send("Input.dispatchTouchEvent", {
      type,
      touchPoints:
        share === null
          ? []
          : ways.map(([x0, y0, x1, y1], id) => ({ x: x0 + share * (x1 - x0), y: y0 + share * (y1 - y0), id })),
    });
  await touch("touchStart", 0);
  for (let i = 1; i <= steps; i++) await touch("touchMove", i / steps);
  await touch("touchEnd", null);
  await session.detach();
}

/** Two fingers around (x, y) move apart, or together. */
function pinch(page, x, y, from, to) {
  return fingers(page, [-0.5, 0.5].map((side) => [x + side * from, y, x + side * to, y]), 4);
}

/** One finger touches the middle of an element, after it was scrolled to, as a person would. */
async function tap(page, selector) {
  const place = await page.evaluate((text) => {
    const element = document.querySelector(text);
    if (!element?.getClientRects().length) return null;
    element.scrollIntoView({ block: "nearest" });
    const { left, top, width, height } = element.getBoundingClientRect();
    return [left + width / 2, top + height / 2];
  }, selector);
  if (!place) throw new Error(`nothing to tap at ${selector}`);
  const session = await page.context().newCDPSession(page);
  const touchPoints = [{ x: place[0], y: place[1], id: 0 }];
  await session.send("Input.dispatchTouchEvent", { type: "touchStart", touchPoints });
  await session.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
  await session.detach();
}

/** Drop files and folders of the disk onto the middle of the page. */
async function drop(page, files) {
  const session = await page.context().newCDPSession(page);
  const { width, height } = page.viewportSize();
  const data = { items: [], files, dragOperationsMask: 1 };
  const send = (type) => session.send("Input.dispatchDragEvent", { type, x: width / 2, y: height / 2, data });
  await page.evaluate(() => {
    window.wasDropped = false;
    addEventListener("drop", () => {
      window.wasDropped = true;
    });
  });
  // The browser drops where the page has said, in its own time, that it takes what is dragged.
  for (let i = 0; i < 20 && !(await page.evaluate("window.wasDropped")); i++) {
    for (const type of ["dragEnter", "dragOver", "dragOver", "drop"]) {
      await send(type);
      await new Promise((resolve) => setTimeout(resolve, 20 + 20 * i));
    }
  }
  await session.detach();
}

/** Make the page a phone's: its pixels, its fingers, and what its corners and bars cover. */
async function phone(page, { width, height, touch, safe }) {
  const session = await page.context().newCDPSession(page);
  await session.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: touch, mobile: true });
  await session.send("Emulation.setTouchEmulationEnabled", { enabled: true, maxTouchPoints: 5 });
  if (safe) await session.send("Emulation.setSafeAreaInsetsOverride", { insets: safe });
  return session;
}

/** Wait until an expression is true. Not `waitForFunction`, which the page's content security policy keeps out. */
async function until(page, expression, milliseconds = 300000) {
  for (const end = performance.now() + milliseconds; !(await page.evaluate(expression)); ) {
    if (performance.now() > end) throw new Error(`waited in vain for ${expression}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

const downloads = [];
const downloaded = [];
const server = await serve();
const profile = fs.mkdtempSync(path.join(os.tmpdir(), "viewer-"));
const result = { driver: null, tasks: {}, errors: [] };
const context = await chromium.launchPersistentContext(profile, {
  executablePath: job.chromium,
  headless: true,
  acceptDownloads: true,
  viewport: { width: 800, height: 600 },
  ignoreDefaultArgs: ["--disable-gpu"],
  args: ["--no-sandbox", "--disable-background-networking", "--no-first-run", "--disable-component-update",
    "--disable-sync", ...DRIVERS[job.driver], ...(job.flags ?? [])],
});
try {
  const page = context.pages()[0] ?? (await context.newPage());
  page.setDefaultTimeout(300000);
  page.on("download", (download) => {
    // A second file of a name gets a number, as browsers do it.
    const { name, ext } = path.parse(download.suggestedFilename());
    const times = downloaded.filter((other) => other === name + ext).length;
    downloaded.push(name + ext);
    downloads.push(download.saveAs(path.join(job.out, times ? `${name}-${times + 1}${ext}` : name + ext)));
  });
  page.on("pageerror", (error) => result.errors.push(String(error)));
  page.on("console", (message) => {
    // The page asks for a manifest beside it, whenever the answer comes: none is no error of the viewer.
    if (message.location().url.endsWith("/manifest.json")) return;
    if (message.type() === "error" || message.text().includes("WebGL")) result.errors.push(message.text());
  });
  const home = `http://127.0.0.1:${server.address().port}${PREFIX}`;
  await page.goto(home);
  await until(page, "!!window.flameport");
  result.driver = await page.evaluate(() => {
    const gl = document.createElement("canvas").getContext("webgl2");
    const info = gl?.getExtension("WEBGL_debug_renderer_info");
    const name = gl && String(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
    gl?.getExtension("WEBGL_lose_context")?.loseContext();
    return name;
  });
  for (const task of result.driver ? job.tasks : []) {
    if (task.kind === "open") {
      const told = path.join(job.out, `${task.name}.json`);
      policy = task.csp;
      await page.goto(home + task.query);
      for (let i = 0; i < 1200 && !fs.existsSync(told); i++) await new Promise((resolve) => setTimeout(resolve, 50));
      policy = "";
      await page.screenshot({ path: path.join(job.out, `${task.name}.png`) });
      continue;
    }
    if (task.kind !== "page") {
      result.tasks[task.name] = await page.evaluate(play, task);
      continue;
    }
    await page.setViewportSize({ width: task.width, height: task.height });
    const session = task.touch ? await phone(page, task) : null;
    await page.emulateMedia({ colorScheme: task.scheme ?? "light", reducedMotion: task.motion ?? "no-preference" });
    await page.goto(home + (task.query ?? ""));
    if (task.ready) await until(page, task.ready);
    for (const step of task.steps ?? []) {
      if (step.press) await page.keyboard.press(step.press);
      else if (step.type) await page.keyboard.type(step.type);
      else if (step.click) await page.click(step.click, { timeout: 60000 });
      else if (step.until) await until(page, step.until, 60000);
      else if (step.open) await page.setInputFiles(step.into ?? "#file", step.open.map((name) => path.join(job.files, name)));
      else if (step.drop) await drop(page, step.drop.map((name) => path.join(job.files, name)));
      else if (step.pinch) await pinch(page, ...step.pinch);
      else if (step.fingers) await fingers(page, step.fingers);
      else if (step.tap) await tap(page, step.tap);
      else if (step.resize) await phone(page, { ...task, width: step.resize[0], height: step.resize[1] });
      else if (step.move) await page.mouse.move(...step.move);
      else if (step.drag) {
        await page.mouse.move(...step.drag.slice(0, 2));
        await page.mouse.down();
        await page.mouse.move(...step.drag.slice(2), { steps: 5 });
        await page.mouse.up();
      } else await page.evaluate(step);
    }
    if (task.wait) await until(page, task.wait);
    result.tasks[task.name] = task.tell ? await page.evaluate(task.tell) : null;
    if (task.axe) {
      await page.evaluate(fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8"));
      const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
      result.axe ??= {};
      result.axe[task.name] = found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target} ${node.failureSummary}`).join(" | ")}`);
    }
    await Promise.all(downloads.splice(0));
    await page.screenshot({ path: path.join(job.out, `${task.name}.png`) });
    if (session) {
      await session.send("Emulation.setTouchEmulationEnabled", { enabled: false });
      await session.send("Emulation.clearDeviceMetricsOverride");
      await session.detach();
    }
  }
} finally {
  await context.close();
  server.close();
  fs.rmSync(profile, { recursive: true, force: true });
}
process.stdout.write(`${JSON.stringify(result)}\n`);
