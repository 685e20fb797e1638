// Start the demo of this page; what it returns is for the tests.
const name = document.querySelector("[data-demo]").dataset.demo;
window.demo = import(`./${name}.js`).then((module) => module.start());
window.demo.catch(() => {}); // the page has said so already
