/** Everything the viewer can explain to a person; `message` is one readable line. */
export class ViewerError extends Error {
  override name = "ViewerError";
}

/** A file is not a flameport avatar, or is damaged. */
export class AvatarFormatError extends ViewerError {
  override name = "AvatarFormatError";
}

/** A clip, camera or manifest is not what it should be, or does not belong to the avatar. */
export class SequenceError extends ViewerError {
  override name = "SequenceError";
}

/** This browser or graphics driver cannot draw the avatar. */
export class DeviceError extends ViewerError {
  override name = "DeviceError";
}
