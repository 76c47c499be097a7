// Asks for the client key. It is handed on and forgotten: no element keeps it, and nothing ever shows it again.

import { credential } from "./api.js";
import { h, say } from "./dom.js";
import { t } from "./i18n.js";

let open = null;

/** Ask for the key. `changed` is called when there is another one, or none any more. */
export function askForKey(changed, refused = false) {
  if (open) return;
  const field = h("input", {
    type: "password",
    id: "key-field",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
    "aria-describedby": "key-about",
  });
  const keep = h("input", { type: "checkbox" });
  const dialog = h(
    "dialog.ask",
    { "aria-labelledby": "key-title" },
    h(
      "form",
      {
        onsubmit(event) {
          event.preventDefault();
          const value = field.value.trim();
          if (!/^[!-~]+$/.test(value)) return;
          credential.use(value, keep.checked);
          finish(t("key.taken"));
        },
      },
      h("h2", { id: "key-title" }, t("key.title")),
      refused && h("p.notice.bad", { role: "alert" }, t("key.refused")),
      h("p", { id: "key-about" }, t("key.about")),
      h("label", { for: "key-field" }, t("key.field")),
      field,
      h("label.check", {}, keep, t("key.keep")),
      h(
        "div.actions",
        {},
        credential.known &&
          h(
            "button",
            { type: "button", onclick: () => (credential.forget(), finish(t("key.forgotten"))) },
            t("key.forget"),
          ),
        h("button", { type: "button", onclick: () => close() }, t("cancel")),
        h("button.primary", { type: "submit" }, t("key.use")),
      ),
    ),
  );
  function close() {
    field.value = "";
    dialog.close();
  }
  function finish(said) {
    close();
    say(said);
    changed();
  }
  dialog.addEventListener("close", () => {
    field.value = "";
    dialog.remove();
    open = null;
  });
  open = dialog;
  document.body.append(dialog);
  dialog.showModal();
}
