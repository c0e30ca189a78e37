// One file on its way to the server. Of a request that fetch makes nobody learns how far it is.
import { Refusal, type FileInfo } from "@parlor/client";

export interface Sending {
  done: Promise<FileInfo>;
  cancel: () => void;
}

/** Uploads a file. What is repeated under the same key is kept once. */
export function upload(url: URL, headers: Record<string, string>, file: File, key: string, progress: (part: number) => void): Sending {
  const request = new XMLHttpRequest();
  const form = new FormData();
  form.append("files", file, file.name);
  const done = new Promise<FileInfo>((resolve, reject) => {
    request.upload.onprogress = (e) => { if (e.lengthComputable) progress(e.loaded / e.total); };
    request.onerror = () => reject(new Refusal("the server cannot be reached"));
    request.onload = () => {
      const answer = (request.response ?? {}) as FileInfo[] & { detail?: string; code?: string; request_id?: string };
      if (request.status < 300 && answer[0]) return resolve(answer[0]);
      reject(new Refusal(answer.detail ?? request.statusText, { code: answer.code, status: request.status, request_id: answer.request_id }));
    };
  });
  request.open("POST", url);
  for (const [name, value] of Object.entries({ ...headers, "Idempotency-Key": key })) request.setRequestHeader(name, value);
  request.responseType = "json";
  request.send(form);
  return { done, cancel: () => request.abort() };
}
