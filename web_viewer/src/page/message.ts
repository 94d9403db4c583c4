/** What went wrong, told on the page. */
import { byId } from "../elements.ts";
import { ViewerError } from "../errors.ts";

/** Return an error in words that a person can use. */
export function wordsOf(error: unknown): string {
  if (error instanceof ViewerError) return error.message;
  return `Something went wrong: ${error instanceof Error ? error.message : error}`;
}

/** Show a message, or none. */
export function say(text: string): void {
  byId("message-text").textContent = text;
  byId("message").hidden = !text;
}
