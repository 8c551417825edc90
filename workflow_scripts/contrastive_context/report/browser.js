"use strict";
// The example browser. Every text comes in by textContent: whatever the data holds shows as text.
(() => {
  const { titles, prompts } = JSON.parse(document.getElementById("examples-data").textContent);
  const form = document.getElementById("examples-form");
  const list = document.getElementById("examples-list");
  const status = document.getElementById("examples-status");
  const PAGE = 20;
  const FIELDS = { task: titles.tasks, model: titles.models, test_set: {}, composition: {}, bucket: {} };
  let page = 0;
  let found = [];

  const title = (names, key) => names[key] || key.replaceAll("_", " ");
  const strategyName = (answer) =>
    title(titles.strategies, answer.strategy) + (answer.seed === null ? "" : `, seed ${answer.seed}`);

  const element = (name, text = "", className = "") => {
    const node = document.createElement(name);
    if (text) node.textContent = text;
    if (className) node.className = className;
    return node;
  };
  // Text of the data: its own direction, its line breaks kept.
  const text = (value, className = "data") => {
    const node = element("span", value, className);
    node.dir = "auto";
    return node;
  };

  for (const prompt of prompts) {
    prompt.haystack = [
      prompt.target_id, prompt.source, prompt.gold,
      ...prompt.context.flatMap((example) => [example.source, example.target]),
      ...prompt.answers.map((answer) => answer.output),
    ].join("\n").toLocaleLowerCase();
  }
  for (const [field, names] of Object.entries(FIELDS)) {
    const select = form.elements[field];
    const values = [...new Set(prompts.map((prompt) => prompt[field]))];
    for (const value of values) select.append(new Option(title(names, value), value));
  }

  const row = (table, head, ...cells) => {
    const line = table.insertRow();
    const th = element("th");
    th.scope = "row";
    th.append(head);
    line.append(th);
    for (const cell of cells) line.insertCell().append(cell);
  };

  const card = (prompt) => {
    const article = element("article", "", "example");
    const where = ["task", "model"].map((field) => title(FIELDS[field], prompt[field]));
    where.push(...["test_set", "composition", "bucket"].map((field) => title({}, prompt[field])));
    if (!prompt.series.includes("same_targets")) where.push(...prompt.series.map((name) => title({}, name)));
    const heading = element("h3");
    where.forEach((words, place) => heading.append(place ? " · " : "", element("bdi", words)));
    article.append(heading);
    const pair = element("table");
    row(pair, "source", text(prompt.source));
    row(pair, "gold", text(prompt.gold));
    article.append(pair);
    if (prompt.context.length) {
      const most = Math.max(...prompt.context.map((example) => example.similarity));
      const context = element("table", "", "context");
      context.append(element("caption", "Context, in prompt order"));
      const head = context.createTHead().insertRow();
      for (const name of ["similarity", "grade", "source", "target"]) {
        const th = element("th", name);
        th.scope = "col";
        head.append(th);
      }
      const body = context.createTBody();
      for (const example of prompt.context) {
        const strongest = example.similarity === most;
        const number = element(strongest ? "strong" : "span", example.similarity.toFixed(2));
        row(body, number, title({}, example.grade), text(example.source), text(example.target));
      }
      article.append(context);
    }
    const answers = element("table");
    answers.append(element("caption", `Answers and their ${title({}, prompt.metric)}`));
    for (const answer of prompt.answers) {
      const output = text(answer.output);
      if (answer.stop_reason === "length") output.append(element("small", " (cut at the length limit)"));
      row(answers, strategyName(answer), answer.score === null ? "–" : String(answer.score), output);
      answers.rows[answers.rows.length - 1].cells[1].className = "score";
    }
    article.append(answers);
    return article;
  };

  const show = () => {
    const last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
    page = Math.min(Math.max(page, 0), last);
    list.replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map(card));
    status.textContent = found.length
      ? `${found.length} of ${prompts.length} prompts, page ${page + 1} of ${last + 1}`
      : "no prompt matches";
    form.elements.previous.disabled = page === 0;
    form.elements.next.disabled = page === last;
  };

  const filter = () => {
    const needle = form.elements.search.value.toLocaleLowerCase();
    const wanted = Object.keys(FIELDS).filter((field) => form.elements[field].value);
    found = prompts.filter(
      (prompt) =>
        wanted.every((field) => prompt[field] === form.elements[field].value) &&
        (!needle || prompt.haystack.includes(needle)),
    );
    page = 0;
    show();
  };

  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.elements.previous.addEventListener("click", () => { page -= 1; show(); });
  form.elements.next.addEventListener("click", () => { page += 1; show(); });
  filter();
})();
