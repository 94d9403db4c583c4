/** What the page makes for a person to keep: clips, pictures, code for other pages, and the list of keys. */

import type { Sequence } from "../driving/sequence.ts";
import { byId } from "../elements.ts";
import type { Player } from "../player.ts";
import { download, fileName } from "./files.ts";
import type { Key } from "./keys.ts";
import type { Transport } from "./transport.ts";

/** Addresses that embed code names; null where there are none. */
export interface Sources {
  avatar: string | null;
  sequence: string | null;
  poster: string | null;
}

export class Maker {
  private stopRecording: (() => Sequence) | null = null;

  constructor(
    private readonly player: Player,
    private readonly stage: HTMLElement,
    /** Metres. */
    private readonly near: number,
  ) {}

  /** Start to record what is shown, or stop and save it. */
  async record(transport: Transport): Promise<void> {
    if (!this.stopRecording) {
      const { record } = await import("../driving/recorder.ts");
      this.stopRecording = record(this.player);
      transport.recording(true);
      byId("said").textContent = "Recording.";
      return;
    }
    const sequence = this.stopRecording();
    this.stopRecording = null;
    transport.recording(false);
    const { writeSequence } = await import("../driving/sequence_json.ts");
    const text = new Blob([writeSequence(sequence)], { type: "application/json" });
    download(text, `${fileName(this.player.avatar!.name)}-recorded.json`);
    byId("said").textContent = "The recording was saved.";
  }

  /** Save what is shown as a PNG. */
  async picture(options: { transparent: boolean; scale: number }): Promise<void> {
    const { avatar } = this.player;
    if (!avatar) return;
    const { pictureOf } = await import("./picture.ts");
    download(await pictureOf(this.player, this.stage, this.near, options), `${fileName(avatar.name)}.png`);
    byId("said").textContent = "The picture was saved.";
  }

  async help(keys: Key[]): Promise<void> {
    (await import("./dialogs.ts")).showHelp(keys);
  }

  /** Show code that puts what is shown on another page. */
  async embed(sources: Sources): Promise<void> {
    const { showEmbed } = await import("./dialogs.ts");
    const here = new URL(location.href);
    here.hash = "";
    here.searchParams.set("ui", "none");
    const at = (file: string) => new URL(file, location.href).href;
    const addresses = {
      page: here.href,
      avatar: at(sources.avatar ?? "avatar.glb"),
      sequence: sources.sequence && at(sources.sequence),
      poster: sources.poster && at(sources.poster),
      element: at("lib/element.js"),
      module: at("lib/index.js"),
    };
    const local = /^(localhost|127\.|\[?::1)/.test(location.hostname);
    const note = [
      local
        ? "These addresses work on this machine only: put the exported folder on a server, and copy them there."
        : "",
      sources.avatar ? "" : "The avatar was opened from a file: put it beside the page first.",
      "Another site may need this one's permission (CORS) to load the files.",
    ];
    showEmbed(addresses, note.filter(Boolean).join(" "));
  }
}
