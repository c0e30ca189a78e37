// Choices of this browser that are no matter of the server.
import { browser } from "../lib/memory.ts";

export type Enter = "send" | "line";
export type Aloud = "short" | "whole";

class Prefs {
  enter = $state<Enter>((browser.get("enter") as Enter | null) ?? "send"); // what the Enter key does
  aloud = $state<Aloud>((browser.get("aloud") as Aloud | null) ?? "short"); // what a screen reader says of an answer

  chooseEnter(enter: Enter): void {
    this.enter = enter;
    browser.set("enter", enter === "send" ? null : enter);
  }

  chooseAloud(aloud: Aloud): void {
    this.aloud = aloud;
    browser.set("aloud", aloud === "short" ? null : aloud);
  }
}

export const prefs = new Prefs();
