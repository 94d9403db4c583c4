/** Starting workers of our own. */

/** A page's policy for addresses of scripts, which some content security policies ask for. */
interface ScriptPolicy {
  createScriptURL(address: string): string;
}

interface TrustedTypes {
  createPolicy(name: string, rules: ScriptPolicy): ScriptPolicy;
}

/** The name that a policy with `trusted-types` has to list. */
const NAME = "flameport-viewer";

let policy: ScriptPolicy | null | undefined;

/** Start a worker from the address that the bundler gave for it. Throws where a page may not have workers. */
export function startWorker(address: string): Worker {
  if (policy === undefined) {
    const { trustedTypes } = globalThis as { trustedTypes?: TrustedTypes };
    policy = trustedTypes?.createPolicy(NAME, { createScriptURL: (url) => url }) ?? null;
  }
  return new Worker(policy ? policy.createScriptURL(address) : address, { type: "module" });
}
