import "./styles/tokens.css";
import "./styles/base.css";
import "./lib/viewport.ts";
import { mount } from "svelte";
import App from "./App.svelte";
import { language } from "./words/words.svelte.ts";

void language.apply().then(() => mount(App, { target: document.getElementById("app")! }));
