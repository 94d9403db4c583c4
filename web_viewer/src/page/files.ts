/** Files that the page makes for a person to keep. */
import { element } from "../elements.ts";

/** Let a person keep a file. */
export function download(data: Blob, name: string): void {
  const href = URL.createObjectURL(data);
  const link = element("a", { href, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(href), 10_000);
}

/** Return a name as files may have it. */
export function fileName(name: string): string {
  return name.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[.-]+|-+$/g, "") || "avatar";
}
