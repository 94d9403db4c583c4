/** The side panel: face, pose, view, comparing, and what is known, each in a tab of its own. */
import type { Avatar } from "../avatar/avatar.ts";
import { element } from "../elements.ts";
import type { Player } from "../player.ts";
import { button } from "./controls.ts";
import { FaceTab } from "./face_tab.ts";
import { InfoTab } from "./info_tab.ts";
import type { PoseTab } from "./pose_tab.ts";
import { Tabs } from "./tabs.ts";
import type { ViewTab } from "./view_tab.ts";

const FACE = "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM9 10h.01M15 10h.01M8.500 14.500c2 2 5 2 7 0";
const POSE = "M12 4a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM12 8v6M7 10.500c3 1 7 1 10 0M12 14l-3 6M12 14l3 6";
const VIEW = "M3 8h4l2-2h6l2 2h4v11H3zM12 10a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7z";
const COMPARE = "M12 3v18M4 6h5v12H4zM15 6h5v12h-5z";
const INFO = "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 11v5M12 8h.01";

export class Panel {
  readonly face: FaceTab;
  readonly info: InfoTab;
  readonly compare = element("div");
  readonly tabs: Tabs;

  constructor(
    private readonly root: HTMLElement,
    private readonly player: Player,
    readonly pose: PoseTab,
    readonly view: ViewTab,
    open: () => void,
  ) {
    this.face = new FaceTab(player, () => this.resetPose());
    this.info = new InfoTab(player);
    this.tabs = new Tabs([
      { name: "Face", path: FACE, body: this.face.root, shown: () => this.follow() },
      { name: "Pose", path: POSE, body: pose.root, shown: () => this.follow() },
      { name: "View", path: VIEW, body: view.root },
      { name: "Compare", path: COMPARE, body: this.compare },
      { name: "Info", path: INFO, body: this.info.root, shown: () => this.info.update() },
    ]);
    root.replaceChildren(this.tabs.root);
    this.compare.append(
      element(
        "div",
        { className: "body empty" },
        element("p", { textContent: "Drop reference pictures of this avatar to see how far the player is from them." }),
        element(
          "p",
          { className: "quiet" },
          "PNGs named by frame, as ",
          element("code", { textContent: "flameport render" }),
          " writes them, with their camera.json; or a folder with a reference.json.",
        ),
        button("Choose pictures…", open),
      ),
    );
  }

  /** Build the tabs for an avatar. */
  refresh(avatar: Avatar): void {
    this.face.refresh(avatar);
    this.pose.refresh(avatar);
    this.view.refresh();
    this.info.refresh();
    this.follow();
  }

  /** Let sliders that nobody holds follow the clip. */
  follow(): void {
    const pose = this.player.getPose();
    if (!pose || !this.root.getClientRects().length) return;
    if (this.tabs.name === "Face") this.face.follow(pose);
    if (this.tabs.name === "Pose") this.pose.follow(pose);
    if (this.tabs.name === "Info") this.info.update();
  }

  resetPose(): void {
    this.player.resetPose();
    this.face.release();
    this.pose.release();
    this.follow();
  }
}
