import { loadAvatar } from "./load.ts";
import { Player } from "./player.ts";

Object.assign(window, { flameport: { loadAvatar, Player } });
