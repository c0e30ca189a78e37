// A phone's keyboard may lie over the page instead of making it smaller. Then the page takes the height that is left, so
// that what one writes stands above the keyboard. Whoever has zoomed in sees a part of the page, which stays as it is.
const view = window.visualViewport;

function fit(): void {
  const covered = view!.scale === 1 && innerHeight - view!.height > 1;
  document.documentElement.style.setProperty("--height", covered ? `${view!.height}px` : "");
  if (covered) scrollTo(0, 0); // the browser has moved the page up
}

view?.addEventListener("resize", fit);
view?.addEventListener("scroll", fit);
