// Asks again and again, while somebody looks.

/**
 * Call `refresh` every so often, one call at a time, until the view is left.
 *
 * @param {() => Promise<void>} refresh
 * @param {number} every Milliseconds between the end of a call and the next.
 * @param {AbortSignal} signal Ends it.
 * @param {(error: Error) => void} failed Told what went wrong; it goes on, after a pause where the gateway asks for one, as long as there is a key.
 */
export function poll(refresh, every, signal, failed) {
  let timer = 0;
  async function again() {
    let pause = every;
    if (!document.hidden) {
      try {
        await refresh();
      } catch (error) {
        if (signal.aborted) return;
        failed(error);
        if (error.status === 401) return; // there is nothing to ask for without a key
        pause = Math.max(every, 1000 * (Number(error.retryAfter) || 0));
      }
    }
    if (!signal.aborted) timer = setTimeout(again, pause);
  }
  timer = setTimeout(again, every);
  signal.addEventListener("abort", () => clearTimeout(timer));
}
