// The search and the sheet of keys, which open over the page.
class Palette {
  open = $state(false);
  keys = $state(false);

  show = (): void => { this.open = true; };
}

export const palette = new Palette();
