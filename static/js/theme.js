// Applies the remembered theme before anything is painted; loaded in the head without "defer" for that reason.
const remembered = localStorage.getItem("logos:theme");
if (remembered === "dark" || remembered === "light") {
  document.documentElement.dataset.theme = remembered;
}
