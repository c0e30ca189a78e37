import type { Model } from "@parlor/client";

/** Whether one can speak to a model, and it speaks. */
export const listens = (m: Model): boolean => m.model_api_source === "openai_realtime";
