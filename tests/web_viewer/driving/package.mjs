// Uses the built package in Node: `node package.mjs LIB JOBS.json`, and prints one JSON array.
//   { glb, sequence, neutral, own: true | false }: the clip as the avatar's head plays it
//   { glb, record: seconds, fps }: what an actor with an idle face showed, as sequence JSON text and as poses
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [library, jobs] = process.argv.slice(2);
const { Actor, Idle, loadAvatar, loadSequence, neutralOf, record, writeSequence } = await import(pathToFileURL(library).href);
const FIELDS = ["expr", "rotation", "neck", "jaw", "eyes", "eyelids", "translation"];
const bytesOf = async (path) => {
  const file = await readFile(path);
  return file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength);
};

const told = [];
for (const job of JSON.parse(await readFile(jobs, "utf8"))) {
  const avatar = await loadAvatar(await bytesOf(job.glb));
  if (job.record) {
    let now = 0;
    const actor = new Actor(() => now);
    actor.cast(avatar);
    actor.addDriver(new Idle({ seed: 11 }));
    actor.play();
    const stop = record(actor, { fps: job.fps });
    const poses = [];
    for (let k = 0; k < job.record * job.fps; k++) {
      now = k / job.fps;
      actor.advance();
      const pose = actor.act();
      poses.push(FIELDS.map((name) => [...pose[name]]));
    }
    told.push({ text: writeSequence(stop()), poses });
    continue;
  }
  const own = job.own ? neutralOf(avatar) : null;
  const lost = [];
  const clip = await loadSequence(await bytesOf(job.sequence), avatar.head, {
    neutral: job.neutral, own, told: (line) => lost.push(line),
  });
  await clip.whole;
  const columns = clip.columns(avatar.head);
  const { frames, fps, basis, edition, expressions } = clip;
  const fields = Object.fromEntries(FIELDS.map((name) => [name, [...clip.fields[name]].slice(0, frames * clip.widthOf(clip.fields[name]))]));
  const joints = Object.fromEntries([...clip.joints].map(([name, values]) => [name, [...values]]));
  told.push({ frames, fps, basis, edition, expressions, columns, fields, joints, lost, own: own && [...own] });
}
process.stdout.write(JSON.stringify(told));
