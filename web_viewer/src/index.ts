/** What `flameport-viewer` offers to programs. The custom element is `flameport-viewer/element`, three.js `flameport-viewer/three`. */

export type { Avatar, Head } from "./avatar/avatar.ts";
export { loadAvatar, loadJson } from "./avatar/load.ts";
export { cameraOf, lookAt, type PinholeCamera, type Point } from "./camera/camera.ts";
export { Orbit } from "./camera/orbit.ts";
export type { Device } from "./device.ts";
export { chooseDevice } from "./devices.ts";
export { Actor } from "./driving/actor.ts";
export { ARKIT_52 } from "./driving/arkit.ts";
export type { Driver, DriverFunction, Moment } from "./driving/driver.ts";
export { followPointer, Gaze, type GazeOptions } from "./driving/gaze.ts";
export type { PoseOverrides } from "./driving/holds.ts";
export { Idle, type IdleOptions } from "./driving/idle.ts";
export { type ArkitWeights, LiveArkit, type LiveArkitOptions } from "./driving/live_arkit.ts";
export { record } from "./driving/recorder.ts";
export { type Neutral, neutralOf, type Retargeting, retarget } from "./driving/retarget.ts";
export { Sequence } from "./driving/sequence.ts";
export { readBinarySequence } from "./driving/sequence_binary.ts";
export { readSequence, writeSequence } from "./driving/sequence_json.ts";
export { type LoadSequenceOptions, loadSequence, type SequenceSource } from "./driving/sequence_stream.ts";
export { AvatarFormatError, DeviceError, SequenceError, ViewerError } from "./errors.ts";
export { Player, type PlayerOptions, type Stats } from "./player.ts";
export { Pose } from "./posing/pose.ts";
