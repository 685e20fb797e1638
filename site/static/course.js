// What scrolls sideways can be reached with the keyboard.
function reachable() {
  for (const box of document.querySelectorAll(".table-wrapper, .cell_output, .demo-table, pre, .math")) {
    if (box.scrollWidth > box.clientWidth + 1) box.setAttribute("tabindex", "0");
  }
}
addEventListener("load", reachable);
addEventListener("resize", reachable);
