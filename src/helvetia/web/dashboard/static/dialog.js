// A form marked data-dialog shows its answer in a dialog instead of a page. Without this script it is a page.
(() => {
  "use strict";
  const dialog = document.getElementById("dialog");
  if (!dialog || !dialog.showModal) return;
  let isSending = false;

  const close = () => { if (!isSending) dialog.close(); };

  const fill = (body) => {
    const copy = document.importNode(body, true);
    const title = copy.querySelector("h1");
    if (title) {
      const smaller = document.createElement("h2");
      smaller.id = title.id;
      smaller.textContent = title.textContent;
      title.replaceWith(smaller);
    }
    dialog.replaceChildren(copy);
    for (const link of dialog.querySelectorAll("[data-dialog-close]")) {
      link.addEventListener("click", (event) => { event.preventDefault(); close(); });
    }
    for (const form of dialog.querySelectorAll("form")) {
      form.addEventListener("submit", (event) => {
        if (isSending) { event.preventDefault(); return; }
        isSending = true;
        dialog.setAttribute("aria-busy", "true");
      });
    }
  };

  const open = async (form) => {
    const fields = new URLSearchParams(new FormData(form));
    const answer = await fetch(form.action, { method: "POST", body: fields, headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const body = page.querySelector("[data-dialog-body]");
    if (!answer.ok) { form.submit(); return; }
    if (!body) { window.location.assign(answer.url); return; }
    fill(body);
    dialog.showModal();
  };

  dialog.addEventListener("cancel", (event) => { if (isSending) event.preventDefault(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && isSending) event.preventDefault();
  });
  window.addEventListener("pageshow", () => { isSending = false; dialog.removeAttribute("aria-busy"); });

  for (const form of document.querySelectorAll("form[data-dialog]")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (form.ariaBusy === "true") return;
      form.ariaBusy = "true";
      open(form).catch(() => form.submit()).finally(() => { form.ariaBusy = null; });
    });
  }
})();
