// Light, dark, or as the system has it.
import { browser } from "../lib/memory.ts";

export type Theme = "system" | "light" | "dark";

const system = matchMedia("(prefers-color-scheme: dark)");

class ThemeStore {
  choice = $state<Theme>((browser.get("theme") as Theme | null) ?? "system");

  choose(theme: Theme): void {
    this.choice = theme;
    browser.set("theme", theme === "system" ? null : theme);
    this.apply();
  }

  apply = (): void => {
    const dark = this.choice === "dark" || (this.choice === "system" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  };
}

export const theme = new ThemeStore();
theme.apply();
system.addEventListener("change", theme.apply);
