"use strict";
// The rating of a page: kept in this browser where that is allowed, saved by download. Nothing is sent anywhere.
(() => {
  const FORMAT = { format_version: 1, software: "bids_spectsynth" };
  const COLUMNS = ["participant_id", "session_id", "rater", "section", "verdict", "comment", "version"];

  // Browsers refuse storage to some pages from a disk; then the rating lives until the page is closed.
  const store = {
    get(key) {
      try {
        return localStorage.getItem(key);
      } catch {
        return null;
      }
    },
    set(key, value) {
      try {
        localStorage.setItem(key, value);
        return true;
      } catch {
        return false;
      }
    },
    remove(key) {
      try {
        localStorage.removeItem(key);
      } catch {
        // Nothing was kept.
      }
    },
  };

  const oneLine = (text) => text.replace(/[\s\u0000-\u001f]+/g, " ").replaceAll('"', "'").trim();

  function setUp(form) {
    const { participant, session, version } = form.dataset;
    // Two output folders may have a participant of the same name, and all pages of a disk share one storage.
    const key = `bids_spectsynth rating ${location.pathname} ${participant} ${session}`;
    const raterKey = "bids_spectsynth rater";
    const rater = form.querySelector(".rater");
    const status = form.querySelector("output");
    const rows = [...form.querySelectorAll("[data-section]")].map((box) => ({
      section: box.dataset.section,
      title: box.querySelector("legend").textContent,
      radios: [...box.querySelectorAll("input[type=radio]")],
      comment: box.querySelector("textarea"),
    }));
    const say = (text, wrong) => {
      status.textContent = text;
      status.classList.toggle("wrong", Boolean(wrong));
    };

    const read = () =>
      rows.map((row) => ({
        section: row.section,
        verdict: row.radios.find((radio) => radio.checked)?.value ?? "",
        comment: row.comment.value.trim(),
      }));

    function restore() {
      rater.value = store.get(raterKey) ?? "";
      let kept;
      try {
        kept = JSON.parse(store.get(key) ?? "[]");
      } catch {
        return;
      }
      for (const one of Array.isArray(kept) ? kept : []) {
        const row = rows.find((other) => one && other.section === one.section);
        if (!row) continue;
        for (const radio of row.radios) radio.checked = radio.value === one.verdict;
        row.comment.value = String(one.comment ?? "").slice(0, row.comment.maxLength);
      }
    }

    function keep() {
      const kept = store.set(key, JSON.stringify(read())) && store.set(raterKey, rater.value);
      say(kept ? "Kept in this browser; not saved yet." : "Not saved yet; this browser keeps nothing.");
    }

    // What is wrong with the rating as it stands, in words; null where it can be saved.
    function problem(ratings) {
      if (!oneLine(rater.value)) return "Say who is rating first.";
      const open = ratings.find((one) => one.comment && !one.verdict);
      if (open) return `${rows.find((row) => row.section === open.section).title}: a comment needs a verdict.`;
      return ratings.some((one) => one.verdict) ? null : "Nothing is rated yet.";
    }

    function asJson(name, ratings) {
      const content = { ...FORMAT, version, participant_id: participant, session_id: session, rater: name, ratings };
      return JSON.stringify(content, null, 2) + "\n";
    }

    function asTable(name, ratings) {
      const lines = ratings.map((one) => {
        const row = { participant_id: participant, session_id: session || "n/a", rater: name, version, ...one };
        return COLUMNS.map((column) => oneLine(row[column]) || "n/a").join("\t");
      });
      return [COLUMNS.join("\t"), ...lines].join("\n") + "\n";
    }

    function save(kind) {
      const all = read();
      const wrong = problem(all);
      if (wrong) {
        say(wrong, true);
        return;
      }
      const ratings = all.filter((one) => one.verdict);
      const name = oneLine(rater.value);
      const text = kind === "json" ? asJson(name, ratings) : asTable(name, ratings);
      const label = name.replace(/[^0-9A-Za-z]/g, "") || "rater";
      const link = document.createElement("a");
      const type = kind === "json" ? "application/json" : "text/tab-separated-values";
      link.href = URL.createObjectURL(new Blob([text], { type }));
      link.download = [participant, session, `desc-${label}`, "rating"].filter(Boolean).join("_") + `.${kind}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
      say(`Saved as ${link.download}: ${ratings.length} of ${rows.length} sections.`);
    }

    function clear() {
      for (const row of rows) {
        for (const radio of row.radios) radio.checked = false;
        row.comment.value = "";
      }
      store.remove(key);
      say("Cleared.");
    }

    restore();
    form.addEventListener("input", keep);
    for (const button of form.querySelectorAll("button[data-save]")) {
      button.addEventListener("click", () => save(button.dataset.save));
    }
    form.querySelector("button[data-clear]").addEventListener("click", clear);
    form.hidden = false;
  }

  for (const form of document.querySelectorAll(".rating")) setUp(form);
})();
