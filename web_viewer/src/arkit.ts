/** ARKit's face weights, sorted by name as `formats.conventions.ARKIT_52`; files order them differently, so map by name. */
export const ARKIT_52 = [
  ..."browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight cheekPuff cheekSquintLeft".split(" "),
  ..."cheekSquintRight eyeBlinkLeft eyeBlinkRight eyeLookDownLeft eyeLookDownRight eyeLookInLeft".split(" "),
  ..."eyeLookInRight eyeLookOutLeft eyeLookOutRight eyeLookUpLeft eyeLookUpRight eyeSquintLeft".split(" "),
  ..."eyeSquintRight eyeWideLeft eyeWideRight jawForward jawLeft jawOpen jawRight mouthClose".split(" "),
  ..."mouthDimpleLeft mouthDimpleRight mouthFrownLeft mouthFrownRight mouthFunnel mouthLeft".split(" "),
  ..."mouthLowerDownLeft mouthLowerDownRight mouthPressLeft mouthPressRight mouthPucker mouthRight".split(" "),
  ..."mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthSmileLeft mouthSmileRight".split(" "),
  ..."mouthStretchLeft mouthStretchRight mouthUpperUpLeft mouthUpperUpRight noseSneerLeft".split(" "),
  ..."noseSneerRight tongueOut".split(" "),
];
