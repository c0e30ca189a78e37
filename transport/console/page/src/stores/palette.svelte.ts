// What opens over the page: the search, and the sheet of keys.
class Palette {
  open = $state(false);
  keys = $state(false);

  show = (): void => { this.open = true; };
}

export const palette = new Palette();
