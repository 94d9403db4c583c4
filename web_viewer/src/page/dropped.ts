/** Files that a person opened or dropped, folders too, and what each of them is. */

/** A file, and its path below what was dropped. */
export interface Given {
  path: string;
  file: File;
}

export type Kind = "avatar" | "bundle" | "clip" | "json" | "picture" | "unknown";

/** Files of dropped folders, at most. */
const MOST = 20_000;

/** Return what a file is, by its first bytes, and by its name where they do not tell. */
export async function kindOf({ file }: Given): Promise<Kind> {
  const head = new Uint8Array(await file.slice(0, 12).arrayBuffer());
  const magic = String.fromCharCode(...head.subarray(0, 4));
  if (magic === "glTF") return "avatar";
  if (magic.startsWith("PK")) return "bundle";
  if (magic === "FPSQ") return "clip";
  const isWebp = magic === "RIFF" && String.fromCharCode(...head.subarray(8)) === "WEBP";
  if (magic === "\x89PNG" || magic.startsWith("\xff\xd8\xff") || isWebp) return "picture";
  const name = file.name.toLowerCase();
  if (name.endsWith(".glb")) return "avatar";
  if (/\.(png|jpe?g|webp)$/.test(name)) return "picture";
  if (name.endsWith(".json") || /^\s*[{[]/.test(String.fromCharCode(...head))) return "json";
  return "unknown";
}

/** Return the files in what was dropped, those in folders too. */
export async function filesOf(transfer: DataTransfer): Promise<Given[]> {
  const entries = [...transfer.items].flatMap((item) => item.webkitGetAsEntry?.() ?? []);
  if (!entries.some((entry) => entry.isDirectory)) {
    return [...transfer.files].map((file) => ({ path: file.name, file }));
  }
  const out: Given[] = [];
  const walk = async (entry: FileSystemEntry, path: string): Promise<void> => {
    if (out.length >= MOST || entry.name.startsWith(".")) return;
    if (entry.isFile) {
      const file = await new Promise<File>((done, failed) => (entry as FileSystemFileEntry).file(done, failed));
      out.push({ path: path + entry.name, file });
      return;
    }
    const reader = (entry as FileSystemDirectoryEntry).createReader();
    for (;;) {
      const some = await new Promise<FileSystemEntry[]>((done, failed) => reader.readEntries(done, failed));
      if (!some.length) return;
      for (const inner of some) await walk(inner, `${path}${entry.name}/`);
    }
  };
  for (const entry of entries) await walk(entry, "");
  return out;
}
