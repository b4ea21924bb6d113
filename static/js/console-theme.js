// The theme chosen on the other pages, before anything is painted: unfold's styles ask for a class, ours for data-theme.
const html = document.documentElement;
const dark = window.matchMedia("(prefers-color-scheme: dark)");
function paint() {
  const chosen = localStorage.getItem("logos:theme");
  html.classList.toggle("dark", chosen ? chosen === "dark" : dark.matches);
}
dark.addEventListener("change", paint);
paint();
