/** WebAssembly that lies beside the page's scripts: fetched as bytes, so that no server has to know its MIME type. */
import { DeviceError } from "../errors.ts";

/** Return the file at an address; `what` says in an error what it is for. */
export async function fetchWasm(address: URL, what: string): Promise<ArrayBuffer> {
  const response = await fetch(address).catch(() => null);
  const name = address.pathname.split("/").pop();
  if (!response?.ok) {
    throw new DeviceError(
      `${what} needs ${name}, which is not beside the viewer's scripts (${response?.status ?? "no answer"}).`,
    );
  }
  return response.arrayBuffer();
}
