// Requests to the servers of tests.

/** A handler of requests that is called with the body of each, but not when its sender was killed before it was whole. */
export const withBody = (handle) => async (request, response) => {
  const parts = await request.toArray().catch(() => null);
  if (parts) await handle(request, response, Buffer.concat(parts));
};
